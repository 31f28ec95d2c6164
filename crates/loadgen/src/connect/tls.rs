//! Certificate authorities to trust over https://: the system's and additional ones.

use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{error::Error, io, path::Path, sync::Arc};

/// What connections over https:// are made with; clones share it, so that the system's store is read once.
#[derive(Debug, Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// With the authorities of `ca_cert`, a file, and those of the system, which are looked for only when `https` says
    /// that they are needed: a machine without any can still send over http://.
    ///
    /// # Errors
    /// When the file holds no good certificate, or no authority is available.
    pub fn new(ca_cert: Option<&Path>, https: bool) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        if let Some(file) = ca_cert {
            add_file(&mut roots, file)
                .map_err(|problem| format!("--ca-cert {}: {problem}", file.display()))?;
        }
        if https {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                let reasons: String = found.errors.iter().map(|error| format!(" ({error})")).collect();
                return Err(format!(
                    "https:// needs a certificate authority to trust, and this machine has none{reasons}: \
                     install package ca-certificates, or name the authority's file with --ca-cert FILE.pem"
                ));
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }

    /// Returns what rustls wants to know.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }
}

fn add_file(roots: &mut RootCertStore, file: &Path) -> Result<(), String> {
    let text = std::fs::read(file).map_err(|error| error.to_string())?;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| format!("not a PEM file: {error}"))?;
        roots.add(certificate).map_err(|error| format!("holds a certificate that can't be used: {error}"))?;
    }
    if roots.is_empty() {
        return Err("holds no certificate; a PEM file has lines that say BEGIN CERTIFICATE".into());
    }
    Ok(())
}

/// rustls' own error, when that is what broke a connection.
pub fn failure<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // Asked for its source, an io::Error passes over what it wraps.
        cause = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

/// Returns why no secure connection came about, with the remedy; `None` when that is not what went wrong.
pub(super) fn refusal(error: &reqwest::Error) -> Option<String> {
    let error = failure(error)?;
    let rustls::Error::InvalidCertificate(certificate) = error else {
        return Some(match error {
            rustls::Error::InvalidMessage(_) => {
                "the server does not speak TLS: is it an http:// address?".into()
            }
            other => format!("no secure connection: {other}"),
        });
    };
    Some(match certificate {
        // The latter is an authority made anew under its old name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is signed by an unknown authority; \
             name the authority's file with --ca-cert FILE.pem"
                .into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("its certificate is another host's ({certificate}); name the host that it is for")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("its certificate has expired ({certificate})")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("its certificate is not valid yet ({certificate}); is the clock right?")
        }
        // webpki's word has no variant of its own here.
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "its certificate is an authority's own (CA:TRUE), which may not serve; make one with CA:FALSE"
                .into()
        }
        other => format!("its certificate is refused: {other}"),
    })
}
