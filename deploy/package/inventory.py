"""Lists the crates that the programs contain (CycloneDX 1.5, JSON) and collects the texts of their licences.

    inventory.py TARGET FOLDER        writes FOLDER/sbom.cdx.json and FOLDER/third-party-licenses.txt

Both depend only on Cargo.lock and on the sources of the crates, so two calls write the same bytes. `cargo tree` says which crates
are compiled, because only it resolves features as a build does; `cargo metadata` says what they are.
"""

import json
import pathlib
import re
import subprocess
import sys
import tomllib

PROGRAMS = ["inference", "loadgen", "driftsim", "driftbench"]
LICENCE_FILE = re.compile(r"(licen[cs]e|copying|notice|unlicense|copyright)", re.IGNORECASE)


def cargo(*arguments):
    return subprocess.run(["cargo", *arguments], check=True, capture_output=True, text=True).stdout


def compiled(target, edges):
    """Returns the crates of a build, as (name, version)."""
    packages = [word for program in PROGRAMS for word in ("--package", program)]
    text = cargo("tree", "--locked", "--target", target, "--edges", edges, "--prefix", "none", "--format", "{p}", *packages)
    return {(name, version.removeprefix("v")) for name, version, *_ in map(str.split, filter(None, text.splitlines()))}


def swagger_ui(package):
    """Returns the component that a crate of another name embeds: the page of /docs."""
    readme = pathlib.Path(package["manifest_path"]).parent.joinpath("README.md").read_text()
    version = re.search(r"Swagger UI version: `([\d.]+)`", readme)
    if not version:
        sys.exit(f"error: {package['name']}: README.md no version of Swagger UI found; adapt swagger_ui() in inventory.py")
    purl = f"pkg:npm/swagger-ui@{version[1]}"
    return {
        "type": "library", "bom-ref": purl, "name": "swagger-ui", "version": version[1], "scope": "required",
        "licenses": [{"expression": "Apache-2.0"}], "purl": purl,
    }


def component(package, checksum, scope):
    reference = f"pkg:cargo/{package['name']}@{package['version']}"
    # Crates of before 2018 write a slash for OR.
    expression = re.sub(r"\s*/\s*", " OR ", package["license"])
    described = {
        "type": "library", "bom-ref": reference, "name": package["name"], "version": package["version"], "scope": scope,
        "licenses": [{"expression": expression}],
    }
    if checksum:
        described["hashes"] = [{"alg": "SHA-256", "content": checksum}]
        described["purl"] = reference
    if package["repository"]:
        described["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return described


def bill_of_materials(packages, edges, checksums, linked):
    """Returns the list: `required` are crates that are part of the programs, `excluded` those that only the build runs."""
    reference = {package["id"]: f"pkg:cargo/{package['name']}@{package['version']}" for package in packages}
    components = [
        component(p, checksums.get((p["name"], p["version"])), "required" if (p["name"], p["version"]) in linked else "excluded")
        for p in packages
    ]
    components += [swagger_ui(p) for p in packages if p["name"] == "utoipa-swagger-ui-vendored"]
    depends = [
        {"ref": reference[package["id"]], "dependsOn": sorted({reference[to] for to in edges[package["id"]] if to in reference})}
        for package in packages
    ]
    version = next(package["version"] for package in packages if package["name"] == PROGRAMS[0])
    product = {
        "type": "application", "bom-ref": "model-vitals", "name": "model-vitals", "version": version,
        "licenses": [{"expression": "MIT OR Apache-2.0"}],
    }
    depends.insert(0, {"ref": "model-vitals", "dependsOn": sorted(f"pkg:cargo/{name}@{version}" for name in PROGRAMS)})
    return {
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": {"component": product}, "components": components, "dependencies": depends,
    }


def licence_texts(packages):
    """Returns each distinct text once, under the crates that have it."""
    texts, without = {}, []
    for package in packages:
        folder = pathlib.Path(package["manifest_path"]).parent
        files = sorted(path for path in folder.iterdir() if LICENCE_FILE.match(path.name) and path.is_file())
        name = f"{package['name']} {package['version']} ({package['license']})"
        for file in files:
            text = file.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n").strip()
            texts.setdefault(text, []).append(name)
        if not files:
            without.append(name)
    parts = ["Licences of the crates that the programs of Model Vitals contain. sbom.cdx.json lists the crates."]
    if without:
        parts.append("These crates contain no text of their licence:\n" + "\n".join(without))
    # A crate may have the same text in two files.
    parts += ["\n".join(sorted(set(names))) + "\n\n" + text for text, names in texts.items()]
    return f"\n\n{'=' * 100}\n\n".join(parts) + "\n"


def main(target, folder):
    linked = compiled(target, "normal,no-proc-macro")
    built = compiled(target, "normal,build") | linked
    metadata = json.loads(cargo("metadata", "--locked", "--format-version", "1", "--filter-platform", target))
    packages = [package for package in metadata["packages"] if (package["name"], package["version"]) in built]
    packages.sort(key=lambda package: (package["name"], package["version"]))
    edges = {node["id"]: node["dependencies"] for node in metadata["resolve"]["nodes"]}
    lock = tomllib.loads(pathlib.Path(metadata["workspace_root"], "Cargo.lock").read_text())
    checksums = {(package["name"], package["version"]): package.get("checksum") for package in lock["package"]}

    out = pathlib.Path(folder)
    bom = bill_of_materials(packages, edges, checksums, linked)
    out.joinpath("sbom.cdx.json").write_text(json.dumps(bom, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    # Swagger UI has the licence of the crate that contains it.
    foreign = [p for p in packages if p["source"] and ((p["name"], p["version"]) in linked or "vendored" in p["name"])]
    out.joinpath("third-party-licenses.txt").write_text(licence_texts(foreign), encoding="utf-8")
    print(f"{len(linked)} crates in the programs, {len(built) - len(linked)} more in the build")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
