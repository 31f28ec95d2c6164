use crate::harness::{DEADLINE, Service};
use inference::Settings;
use model::ModelFile;
use std::{
    fs::Permissions,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Command, Stdio},
};

fn train(data: &Path, out: &Path, more: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_inference"))
        .args(["train", "--target", "species", "--data"])
        .arg(data)
        .arg("--out")
        .arg(out)
        .args(more)
        .output()
        .unwrap();
    let words =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), words)
}

/// Returns generated penguins: two numeric columns, one of them with missing values, and two species.
fn penguins() -> String {
    let rows = (0..80).map(|i| {
        let (species, mass) = if i % 2 == 0 { ("adelie", 3500 + 7 * i) } else { ("gentoo", 5000 + 7 * i) };
        let bill = if i % 8 == 3 { String::new() } else { format!("{:.1}", 38.0 + f64::from(i % 13) * 0.7) };
        format!("{bill},{species},{mass}\n")
    });
    "bill_mm,species,mass_g\n".to_owned() + &rows.collect::<String>()
}

#[tokio::test]
async fn a_model_trained_on_any_csv_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("penguins.csv"), dir.path().join("model.json"));
    std::fs::write(&data, penguins()).unwrap();
    let (ok, words) = train(&data, &out, &[]);
    assert!(ok && words.contains("held-out accuracy") && words.contains("5-fold accuracy"), "{words}");
    let first = std::fs::read_to_string(&out).unwrap();
    assert!(train(&data, &out, &[]).0);
    assert_eq!(std::fs::read_to_string(&out).unwrap(), first, "the same data and seed give the same bytes");

    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&out).unwrap().permissions());
    assert_eq!(mode & 0o044, 0o044 & !umask(), "others may read the model");

    let service = Service::of(Settings::default(), ModelFile::from_json(&first).unwrap());
    let (status, body) = service.predict(r#"{"features":{"mass_g":5200,"bill_mm":41.5}}"#).await;
    assert_eq!(
        (status, body["class"].as_str(), body["model"].as_str()),
        (200, Some("gentoo"), Some("penguins"))
    );
    // The column had missing values when the model was trained, so requests may have some, too.
    assert_eq!(service.predict(r#"{"features":[null,3600]}"#).await.0, 200);
    assert_eq!(service.predict(r#"{"features":[40.1,null]}"#).await.0, 422);
    let gaps = service.metric("signal_bin_total", &[("signal", "bill_mm"), ("bin", "missing")]).await;
    assert_eq!(gaps, 1.0);
}

/// Returns the permissions that are removed from new files of this process.
fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:")).unwrap();
    u32::from_str_radix(line.trim(), 8).unwrap()
}

#[test]
fn a_closed_standard_output_is_not_an_error() {
    const LINE: &str = r#""$@" | head -c 1 >/dev/null; exit "${PIPESTATUS[0]}""#;
    for command in ["inspect", "--help"] {
        let line = ["-c", LINE, "bash", env!("CARGO_BIN_EXE_inference"), command];
        let output = Command::new("bash").args(line).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{command}: {output:?}");
    }
}

#[test]
fn a_model_replaces_the_target_of_a_link_and_keeps_its_mode() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("data.csv"), penguins()).unwrap();
    std::fs::write(at("v1.json"), "the former model").unwrap();
    std::fs::set_permissions(at("v1.json"), Permissions::from_mode(0o640)).unwrap();
    for (target, link) in [("v1.json", "current.json"), ("v2.json", "dangling.json")] {
        symlink(target, at(link)).unwrap();
        let (ok, words) = train(&at("data.csv"), &at(link), &[]);
        assert!(ok, "{words}");
        assert!(at(link).is_symlink(), "{link}");
        ModelFile::from_json(&std::fs::read_to_string(at(target)).unwrap()).unwrap();
    }
    assert_eq!(at("v1.json").metadata().unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn a_model_can_be_written_into_a_pipe() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("data.csv"), penguins()).unwrap();
    const TRAIN: &str = r#"set -e; train() { "$0" train --data data.csv --target species --out "$1"; }"#;
    for (line, file) in [
        ("train >(cat >substituted.json); wait $!", "substituted.json"),
        // `/dev/stdout` is such a link. If the program replaced it, it would be missing on this machine.
        ("ln -s /proc/self/fd/1 stdout; train stdout | cat >stdout.json", "stdout.json"),
        ("train stdout >redirected.json", "redirected.json"),
        ("train /dev/fd/7 7>descriptor.json", "descriptor.json"),
        ("mkfifo fifo; cat fifo >fifo.json & train fifo; wait $!; test -p fifo", "fifo.json"),
    ] {
        let mut bash = Command::new("timeout");
        // If the FIFO were replaced by a file, its reader would wait forever.
        bash.args([&DEADLINE.as_secs().to_string(), "bash", "-c", &format!("{TRAIN}; {line}")]);
        let output = bash.arg(env!("CARGO_BIN_EXE_inference")).current_dir(dir.path()).output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        let model = std::fs::read_to_string(dir.path().join(file)).unwrap();
        ModelFile::from_json(&model).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

#[test]
fn errors_name_their_place_and_no_model_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("bad.csv"), dir.path().join("model.json"));
    std::fs::write(&data, penguins().replace("3514", "heavy")).unwrap();
    let (ok, words) = train(&data, &out, &[]);
    assert!(
        !ok && words.contains("bad.csv:4: column \"mass_g\": expected a number, got \"heavy\""),
        "{words}"
    );
    std::fs::write(&data, penguins()).unwrap();
    for (flags, expected) in [
        (["--alpha", "0"], "alpha must be above 0"),
        (["--test-fraction", "1.5"], "test-fraction must be in [0, 1)"),
        (["--name", "\t"], "--name: must be printable"),
    ] {
        let (ok, words) = train(&data, &out, &flags);
        assert!(!ok && words.contains(expected), "{words}");
    }
    assert!(!out.exists());
    let (ok, words) = train(&data, Path::new("/nonexistent/model.json"), &[]);
    assert!(!ok && words.contains("--out /nonexistent/model.json"), "{words}");
    for (bytes, expected) in [
        (&b"PK\x03\x04\x14"[..], "bad.csv: seems to be a ZIP archive"),
        (b"\x1f\x8b\x08\x00", "bad.csv: is compressed with gzip but damaged; create the file again"),
        (b"\x28\xb5\x2f\xfd", "bad.csv: seems to be a compressed file; decompress it first"),
        (
            b"[{\"species\": \"gentoo\"}]",
            "bad.csv: seems to be a JSON file of another kind; save the table as CSV",
        ),
    ] {
        std::fs::write(&data, bytes).unwrap();
        let (ok, words) = train(&data, &out, &[]);
        assert!(!ok && words.contains(expected), "{words}");
    }
    let (ok, words) = train(Path::new("/nonexistent.csv"), &out, &[]);
    assert!(!ok && words.contains("--data /nonexistent.csv"), "{words}");
}

#[test]
fn inspect_prints_the_model_card() {
    let output = Command::new(env!("CARGO_BIN_EXE_inference")).arg("inspect").output().unwrap();
    let words = String::from_utf8(output.stdout).unwrap();
    for expected in
        ["setosa, versicolor, virginica", "held-out", "petal_width", "metric series, and ", "distance"]
    {
        assert!(words.contains(expected), "{expected}: {words}");
    }
}

#[test]
fn types_scores_and_warnings_are_printed() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("shop.csv"), dir.path().join("model.json"));
    let rows: String = (0..120)
        .map(|row| {
            let species = if row % 40 == 0 { "rare" } else { "common" };
            format!(
                "{},{},{},{species}\n",
                row % 7,
                ["red", "blue"][row % 2],
                if row == 5 { "?" } else { "1" }
            )
        })
        .collect();
    std::fs::write(&data, format!("n,colour,code,species\n{rows}")).unwrap();
    let (ok, words) = train(&data, &out, &[]);
    let expected = "shop.csv:7: column \"code\": expected a number, got \"?\" (1 of 120 values are not numbers); \
                    give --missing '?' to treat it as missing in all columns, or --categorical code";
    assert!(!ok && words.contains(expected), "{words}");
    let (ok, words) = train(&data, &out, &["--missing", "?"]);
    assert!(ok, "{words}");
    for part in [
        "2 numeric: n, code",
        "1 categorical: colour",
        "by always predicting the most frequent class",
        "AUROC",
        "simulated rows: ",
        "warning: class \"rare\" has 3 rows, but at least 20 are needed",
        "warning: the model is not better than always predicting the most frequent class",
    ] {
        assert!(words.contains(part), "{part} is missing in {words}");
    }
}

#[test]
fn compressed_tables_and_other_separators_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("p.csv"), dir.path().join("model.json"));
    std::fs::write(&data, penguins().replace(',', ";")).unwrap();
    let (ok, words) = train(&data, &out, &[]);
    assert!(!ok && words.contains("give --separator ';'"), "{words}");
    let compressed = Command::new("gzip").arg(&data).status().unwrap();
    assert!(compressed.success());
    let (ok, words) = train(&dir.path().join("p.csv.gz"), &out, &["--separator", ";"]);
    assert!(ok && words.starts_with("p "), "{words}");
}

#[test]
fn the_table_is_not_replaced_by_the_model() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("data.csv"), penguins()).unwrap();
    symlink("data.csv", at("symbolic.csv")).unwrap();
    std::fs::hard_link(at("data.csv"), at("hard.csv")).unwrap();
    for (data, out) in [
        ("data.csv", "data.csv"),
        ("data.csv", "symbolic.csv"),
        ("symbolic.csv", "data.csv"),
        ("data.csv", "hard.csv"),
    ] {
        let (ok, words) = train(&at(data), &at(out), &[]);
        let expected = format!(
            "--out {}: the model would replace the table of --data {}; name another file",
            at(out).display(),
            at(data).display()
        );
        assert!(!ok && words.contains(&expected), "{words}");
    }
    let output = from_standard_input(dir.path(), &["--out", "data.csv"]);
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success()
            && words.contains("--out data.csv: the model would replace the table of --data -"),
        "{words}"
    );
    assert_eq!(std::fs::read_to_string(at("data.csv")).unwrap(), penguins());
}

/// Trains on the file `data.csv` of a folder, which is passed as standard input.
fn from_standard_input(folder: &Path, more: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_inference"))
        .args(["train", "--target", "species", "--data", "-"])
        .args(more)
        .current_dir(folder)
        .stdin(Stdio::from(std::fs::File::open(folder.join("data.csv")).unwrap()))
        .output()
        .unwrap()
}

#[test]
fn a_model_of_standard_input_has_a_default_name() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("data.csv"), penguins()).unwrap();
    let name = |more: &[&str]| {
        let output = from_standard_input(dir.path(), &[&["--out", "m.json"], more].concat());
        assert!(output.status.success(), "{output:?}");
        let model = std::fs::read_to_string(dir.path().join("m.json")).unwrap();
        ModelFile::from_json(&model).unwrap().card.name
    };
    assert_eq!((name(&[]), name(&["--name", "penguins"])), ("model".into(), "penguins".into()));
}

#[test]
fn rows_without_a_class_are_left_out_with_a_flag() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("penguins.csv"), dir.path().join("model.json"));
    std::fs::write(&data, penguins() + "38.1,,3600\n39.5,,4100\n").unwrap();
    let (ok, words) = train(&data, &out, &[]);
    let expected = "penguins.csv:82: column \"species\": 2 rows have no class, the first on line 82; \
                    label the rows, or leave them out with --drop-unlabelled";
    assert!(!ok && words.contains(expected), "{words}");
    let (ok, words) = train(&data, &out, &["--drop-unlabelled"]);
    assert!(ok && words.contains("64 rows to fit, 16 held out"), "{words}");
    assert!(words.contains("warning: column \"species\": 2 rows have no class and are left out"), "{words}");
}
