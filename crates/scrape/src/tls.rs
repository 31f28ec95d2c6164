//! Loads the certificate authorities to trust over https://, the system's and additional ones, and explains errors of TLS.

use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{error::Error, io, path::Path, sync::Arc};

/// The configuration of connections over https://. Clones share it, so that the system's certificates are read once.
#[derive(Debug, Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Loads the authorities of the file `ca_cert` and, if `https` is set, those of the system. A machine that has none can still
    /// use http://.
    ///
    /// # Errors
    /// If the file has no valid certificate, or if no authority is available.
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

    /// Returns the configuration for rustls.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }
}

fn add_file(roots: &mut RootCertStore, file: &Path) -> Result<(), String> {
    let text = std::fs::read(file).map_err(|error| error.to_string())?;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate =
            certificate.map_err(|error| format!("is not a valid PEM file: {error}; replace it"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("has an invalid certificate: {error}; remove or replace it"))?;
    }
    if roots.is_empty() {
        return Err("has no certificate; give a PEM file, which has lines with BEGIN CERTIFICATE".into());
    }
    Ok(())
}

/// Returns the error of rustls in a chain of errors, if there is one.
pub fn failure<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // The source of an io::Error is that of the wrapped error, not the wrapped error itself.
        cause = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

/// Returns why a secure connection failed, with a remedy, or `None` if the error is not about TLS.
pub(crate) fn refusal(error: &reqwest::Error) -> Option<String> {
    let error = failure(error)?;
    let rustls::Error::InvalidCertificate(certificate) = error else {
        return Some(match error {
            rustls::Error::InvalidMessage(_) => {
                "the server does not speak TLS; if it uses plain HTTP, give an http:// address".into()
            }
            other => format!("no secure connection: {other}"),
        });
    };
    Some(match certificate {
        // A bad signature occurs if the authority was created again under the same name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is signed by an unknown authority; \
             name the authority's file with --ca-cert FILE.pem"
                .into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("its certificate is for another host ({certificate}); use the name of that host in the address")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("its certificate has expired ({certificate}); renew it, or check the clock of this machine")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("its certificate is not valid yet ({certificate}); check the clock of this machine")
        }
        // rustls has no variant of its own for this error of webpki.
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "its certificate is that of a certificate authority (CA:TRUE), which servers may not use; create one with CA:FALSE"
                .into()
        }
        other => format!("its certificate is invalid: {other}"),
    })
}
