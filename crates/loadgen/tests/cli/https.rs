//! Tests of targets over https://.

use crate::support::{Loadgen, Run, Stub, StubOptions};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A scenario with so few requests that a run is never invalid because of late ones.
const SHORT: &str = r#"
name: x
payloads: { flowers: { source: { model: {} } } }
phases: [ { name: a, executor: constant-arrival-rate, rate: 25, duration: 1s } ]
thresholds: { unexpected_rate: ["count==0"] }
"#;

/// A certificate authority for tests.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Returns a certificate for `name`, with its key.
    fn certify(&self, name: &str, change: impl Fn(&mut CertificateParams)) -> Arc<CertifiedKey> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Arc::new(
            CertifiedKey::from_der(vec![certificate.der().clone()], key, &ring::default_provider()).unwrap(),
        )
    }

    fn server(&self, name: &str, change: impl Fn(&mut CertificateParams)) -> Stub {
        let certificate = self.certify(name, change);
        serve(Turning { good: Arc::clone(&certificate), bad: certificate, left: AtomicU64::new(0) })
    }
}

/// A server that presents its valid certificate this many times, and then its expired one.
#[derive(Debug)]
struct Turning {
    good: Arc<CertifiedKey>,
    bad: Arc<CertifiedKey>,
    left: AtomicU64,
}

impl ResolvesServerCert for Turning {
    fn resolve(&self, _: ClientHello) -> Option<Arc<CertifiedKey>> {
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        Some(Arc::clone(if left.is_ok() { &self.good } else { &self.bad }))
    }
}

fn serve(certificates: Turning) -> Stub {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certificates));
    // Sessions must not be resumed, because a resumed one presents no certificate.
    config.send_tls13_tickets = 0;
    Stub::start_tls(StubOptions::default(), config)
}

/// The environment of a machine without any certificate authorities.
const BARE: [(&str, &str); 2] = [("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")];

fn run(stub: &Stub, authority: &Authority) -> Run {
    let loadgen = Loadgen::new();
    loadgen.write("ca.pem", &authority.0.pem());
    loadgen.run_with(SHORT, &stub.url, &["--ca-cert", "ca.pem"], &BARE)
}

#[track_caller]
fn refused(run: &Run, words: &str) {
    run.expect_code(104);
    assert!(run.stderr.contains(words), "{}", run.stderr);
}

#[test]
fn an_additional_certificate_authority_is_trusted() {
    let authority = Authority::new("ours");
    let stub = authority.server("127.0.0.1", |_| {});
    let run = run(&stub, &authority);
    run.expect_code(0);
    assert_eq!((run.total("completed"), stub.seen()), (25, 25));
    assert_eq!(run.report["target"], format!("{}/", stub.url));
}

#[test]
fn invalid_certificates_are_reported_before_the_run() {
    let authority = Authority::new("ours");
    let stub = authority.server("127.0.0.1", |_| {});
    // One authority has another name, the other has the same name but a new key.
    for name in ["theirs", "ours"] {
        refused(&run(&stub, &Authority::new(name)), "signed by an unknown authority; name the");
    }
    let stub = authority.server("elsewhere.example", |_| {});
    refused(&run(&stub, &authority), "its certificate is for another host");
    let stub = authority.server("127.0.0.1", |params| params.not_after = date_time_ymd(2020, 1, 1));
    refused(&run(&stub, &authority), "its certificate has expired");
    let stub = authority.server("127.0.0.1", |params| params.not_before = date_time_ymd(4000, 1, 1));
    refused(&run(&stub, &authority), "its certificate is not valid yet");
    let stub = authority.server("127.0.0.1", |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    refused(&run(&stub, &authority), "that of a certificate authority (CA:TRUE)");
}

#[test]
fn requests_fail_with_a_reason_if_the_certificate_expires_during_the_run() {
    let authority = Authority::new("ours");
    let good = authority.certify("127.0.0.1", |_| {});
    let bad = authority.certify("127.0.0.1", |params| params.not_after = date_time_ymd(2020, 1, 1));
    let stub = serve(Turning { good, bad, left: AtomicU64::new(15) });
    let loadgen = Loadgen::new();
    loadgen.write("ca.pem", &authority.0.pem());
    // Each request has its own connection, and so its own certificate.
    let scenario = SHORT.replace("{ model: {} } }", "{ model: {} }, headers: { connection: close } }");
    let run = loadgen.run_with(&scenario, &stub.url, &["--ca-cert", "ca.pem"], &BARE);
    run.expect_code(99);
    assert!(run.adds_up() && run.total("completed") >= 5 && run.total("failed") >= 10, "{}", run.report);
    assert_eq!(run.report["phases"][0]["failures"]["tls"], run.total("failed"));
    assert!(run.stdout.contains("× no secure connection"), "{}", run.stdout);
}

#[test]
fn without_certificate_authorities_http_works_and_https_is_an_error() {
    let loadgen = Loadgen::new();
    let stub = Stub::start(StubOptions::default());
    loadgen.run_with(SHORT, &stub.url, &[], &BARE).expect_code(0);
    let https = stub.url.replace("http://", "https://");
    let run = loadgen.run_with(SHORT, &https, &[], &BARE);
    refused(&run, "install package ca-certificates, or name the authority's file with --ca-cert");
    let run = loadgen.run_with(SHORT, &stub.url, &["--prometheus", &https], &BARE);
    refused(&run, "install package ca-certificates");
}

#[test]
fn an_error_about_the_wrong_scheme_names_the_other_one() {
    let loadgen = Loadgen::new();
    let authority = Authority::new("ours");
    loadgen.write("ca.pem", &authority.0.pem());
    let plain = Stub::start(StubOptions::default());
    let https = plain.url.replace("http://", "https://");
    refused(&loadgen.run_with(SHORT, &https, &["--ca-cert", "ca.pem"], &BARE), "give an http:// address");
    let secure = authority.server("127.0.0.1", |_| {});
    let http = secure.url.replace("https://", "http://");
    refused(&loadgen.run_with(SHORT, &http, &[], &BARE), "give an https:// address");
}

#[test]
fn an_error_about_an_invalid_ca_file_names_it() {
    let loadgen = Loadgen::new();
    loadgen.write("empty.pem", "");
    loadgen.write("key.pem", &KeyPair::generate().unwrap().serialize_pem());
    loadgen.write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    loadgen.write("torn.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    for (file, words) in [
        ("absent.pem", "No such file"),
        ("empty.pem", "has no certificate"),
        ("key.pem", "has no certificate"),
        ("broken.pem", "has an invalid certificate"),
        ("torn.pem", "is not a valid PEM file"),
    ] {
        let run = loadgen.run_with(SHORT, "https://127.0.0.1:1", &["--ca-cert", file], &[]);
        refused(&run, words);
        assert!(run.stderr.contains(&format!("--ca-cert {file}: ")), "{}", run.stderr);
    }
}
