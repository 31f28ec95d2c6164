"""Writes the JSON schemas of the objects that the manifests use, from the Go modules that publish them.

  trim.py KUBERNETES_MODULE... OPERATOR_MODULE     folders of unpacked modules, each named …@VERSION

Kubernetes publishes OpenAPI documents, the Prometheus Operator custom resource definitions. What is left out are descriptions
and every kind that no manifest has; what is added is that unknown fields are errors, as for `kubectl --validate=strict`.
"""

import json
import pathlib
import sys

import yaml

# OpenAPI document of the API group: kinds.
KINDS = {
    "api__v1": ["ConfigMap", "Namespace", "PersistentVolumeClaim", "Secret", "Service", "ServiceAccount"],
    "apis__apps__v1": ["Deployment"],
    "apis__autoscaling__v2": ["HorizontalPodAutoscaler"],
    "apis__batch__v1": ["Job"],
    "apis__networking.k8s.io__v1": ["NetworkPolicy"],
    "apis__policy__v1": ["PodDisruptionBudget"],
}
CUSTOM = ["prometheusrules", "servicemonitors"]
# Not part of JSON Schema, or of no consequence to whether an object is valid.
DROPPED = {"description", "default", "example", "title"}


def strict(schema):
    """Returns the schema without annotations, and with unknown fields refused."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            # The keys are names of fields, which may be called "description".
            result[key] = {name: strict(field) for name, field in value.items()}
        elif key == "$ref":
            result[key] = "#/$defs/" + value.rsplit("/", 1)[1]
        elif key not in DROPPED and not key.startswith("x-kubernetes"):
            result[key] = strict(value)
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if "properties" in result and not open_ended:
        result["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        result.pop("type", None)
        result["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    return result


def references(schema):
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].rsplit("/", 1)[1]
        for value in schema.values():
            yield from references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from references(value)


def kubernetes(module):
    """Returns the schema of the kinds, one of which an object must be."""
    definitions, roots = {}, {}
    for document, kinds in KINDS.items():
        path = module / "api/openapi-spec/v3" / f"{document}_openapi.json"
        schemas = json.loads(path.read_text())["components"]["schemas"]
        for kind in kinds:
            named = [
                (name, gvk)
                for name, schema in schemas.items()
                for gvk in schema.get("x-kubernetes-group-version-kind", [])
                if gvk["kind"] == kind and name.endswith("." + kind)
            ]
            [(name, gvk)] = named
            version = "/".join(part for part in (gvk["group"], gvk["version"]) if part)
            roots[f"{version} {kind}"] = name
            wanted = [name]
            while wanted:
                name = wanted.pop()
                if name not in definitions:
                    definitions[name] = strict(schemas[name])
                    wanted.extend(references(schemas[name]))
    return {"$defs": definitions, "kinds": {kind: {"$ref": f"#/$defs/{name}"} for kind, name in roots.items()}}


def custom(module):
    kinds, definitions = {}, {}
    for plural in CUSTOM:
        path = module / f"example/prometheus-operator-crd/monitoring.coreos.com_{plural}.yaml"
        crd = yaml.safe_load(path.read_text())["spec"]
        for version in crd["versions"]:
            if not version["served"]:
                continue
            name = f"{crd['group']}/{version['name']} {crd['names']['kind']}"
            schema = strict(version["schema"]["openAPIV3Schema"])
            # The API server checks it; the definition leaves it open.
            schema["properties"]["metadata"] = {"type": "object"}
            definitions[name.replace("/", ".").replace(" ", ".")] = schema
            kinds[name] = {"$ref": "#/$defs/" + name.replace("/", ".").replace(" ", ".")}
    return {"$defs": definitions, "kinds": kinds}


def main():
    here = pathlib.Path(__file__).parent
    *clusters, operator = map(pathlib.Path, sys.argv[1:])
    for module, schema in [(module, kubernetes(module)) for module in clusters] + [(operator, custom(operator))]:
        name, version = module.name.split("@")
        origin = {"$comment": f"From the Go module {name} {version} (Apache-2.0), by trim.py. See README.md."}
        text = json.dumps(origin | schema, sort_keys=True, separators=(",", ":")).replace('"io.k8s', '\n"io.k8s')
        (here / f"{name}-{version}.json").write_text(text + "\n")
        print(here / f"{name}-{version}.json", len(text))


main()
