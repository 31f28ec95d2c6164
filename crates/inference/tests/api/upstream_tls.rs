//! `inference profile --upstream` over https://.

use crate::upstream::{one_row, profile_with, server, server_over};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
};

const FLAGS: [&str; 2] = ["--protocol", "native"];

/// A certificate that is signed with its own key, and the file that it is in.
struct SelfSigned {
    certificate: CertificateDer<'static>,
    key: KeyPair,
    file: String,
}

impl SelfSigned {
    fn new(folder: &Path, name: &str, change: impl Fn(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.self_signed(&key).unwrap();
        let file = folder.join(format!("{name}.pem"));
        std::fs::write(&file, certificate.pem()).unwrap();
        Self { certificate: certificate.der().clone(), key, file: file.display().to_string() }
    }

    /// Starts a model server with this certificate.
    fn server(&self) -> SocketAddr {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key)
            .unwrap();
        let config = Arc::new(config);
        server_over(
            move |stream| StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream),
            answer,
        )
    }
}

fn answer(_: &str, body: &Value) -> (u16, String) {
    const NAMES: [&str; 3] = ["setosa", "versicolor", "virginica"];
    one_row(body, |class, _| json!({ "class": NAMES[class] }))
}

/// Starts a server that answers anything with plain HTTP.
fn plain() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").unwrap();
            // It waits for the client to close the connection.
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    address
}

/// Profiles the server at an address, and trusts the certificate of this file.
fn profiled(scheme: &str, address: SocketAddr, trusted: &str) -> Result<Vec<String>, String> {
    let variables = [("SSL_CERT_FILE", trusted), ("SSL_CERT_DIR", "")];
    profile_with(&format!("{scheme}://{address}"), &FLAGS, &variables).map(|own| own.file.card.classes)
}

#[test]
fn a_server_is_profiled_over_https_if_its_certificate_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let own = SelfSigned::new(folder.path(), "127.0.0.1", |_| {});
    let classes = profiled("https", own.server(), &own.file).unwrap();
    assert_eq!(classes, ["setosa", "versicolor", "virginica"]);
}

#[test]
fn connections_that_are_not_secure_are_errors_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let own = SelfSigned::new(folder.path(), "127.0.0.1", |_| {});
    let other = SelfSigned::new(folder.path(), "other", |_| {});
    let expired = SelfSigned::new(folder.path(), "127.0.0.2", |params| {
        *params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.not_after = date_time_ymd(2020, 1, 1);
    });
    let missing = folder.path().join("missing.pem").display().to_string();
    for (scheme, address, trusted, parts) in [
        ("https", own.server(), &other.file, ["signed by an unknown authority", "SSL_CERT_FILE"]),
        ("https", other.server(), &other.file, ["its certificate is invalid", "not valid for name"]),
        ("https", expired.server(), &expired.file, ["its certificate is invalid", "expired"]),
        ("https", plain(), &own.file, ["does not speak TLS", "give an http:// address"]),
        // It closes the connection.
        ("https", server(answer), &own.file, ["no secure connection", "give an http:// address"]),
        ("http", own.server(), &own.file, ["if the server uses TLS", "give an https:// address"]),
        ("https", own.server(), &missing, ["needs a certificate authority to trust", "missing.pem"]),
    ] {
        let error = profiled(scheme, address, trusted).unwrap_err();
        for part in parts {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
