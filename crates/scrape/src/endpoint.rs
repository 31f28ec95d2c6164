//! Separates an address from its credentials, so that no message or report can show them.

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::{Url, header::HeaderValue};
use std::{borrow::Cow, env, ffi::OsString};

/// The address of a server, and the credentials for it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    url: Url,
    /// The value of header `Authorization`, marked as sensitive so that it is not printed.
    authorization: Option<HeaderValue>,
}

impl Endpoint {
    /// Creates the endpoint from the address of a flag. Its `user:password@`, or the token in the environment variable `variable`,
    /// becomes a header.
    ///
    /// # Errors
    /// If the token is invalid, or if both are given.
    pub fn new(mut url: Url, variable: &str) -> Result<Self, String> {
        let basic = basic(&url)?;
        // Neither call fails for an address with a host, and addresses of flags have one.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let token = env::var_os(variable).map(|token| bearer(variable, Some(token))).transpose()?;
        let authorization = match (basic, token) {
            (Some(_), Some(_)) => {
                return Err(format!(
                    "{url} has a user name, and environment variable {variable} has a token, but a request has only one \
                    authorization; remove the user name or unset the variable"
                ));
            }
            (basic, token) => basic.or(token),
        };
        Ok(Self { url, authorization })
    }

    /// Returns the address, without credentials.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the value of header `Authorization`, if there is one.
    pub fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// Returns the endpoint of `path` on the same server, with the same credentials.
    pub fn at(&self, path: &str) -> Self {
        Self { url: self.below(path), authorization: self.authorization.clone() }
    }

    /// Returns the address of `path`, which may have a query. The path of this address stays before it, as for a server behind a
    /// prefix.
    pub fn below(&self, path: &str) -> Url {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let mut url = self.url.clone();
        url.set_path(&format!("{}/{}", self.url.path().trim_end_matches('/'), path.trim_start_matches('/')));
        url.set_query(query);
        url
    }
}

/// Reads the address of a page from a flag.
///
/// # Errors
/// If it is not an `http://` or `https://` address, or has a query, which is not shown, because it may contain a key.
pub fn page_url(text: &str) -> Result<Url, String> {
    http_url(text, "remove it; tokens are read from the environment")
}

/// Reads an address from a flag. `remedy` says what to do with a query, which an address must not have.
///
/// # Errors
/// Those of [`page_url`].
pub fn http_url(text: &str, remedy: &str) -> Result<Url, String> {
    let url: Url =
        text.parse().map_err(|error| format!("{error}; expected something like http://127.0.0.1:8000"))?;
    if url.query().is_some() || url.fragment().is_some() {
        // The message does not show the query, because it may contain a key.
        return Err(format!("an address must not have a query; {remedy}"));
    }
    match (url.scheme(), url.has_host()) {
        ("http" | "https", true) => Ok(url),
        _ => Err("expected an address that begins with http:// or https://".into()),
    }
}

/// Returns the `Authorization` header with the bearer token from environment variable `variable`.
///
/// # Errors
/// If it is invalid; the error does not show the token.
pub fn bearer(variable: &str, token: Option<OsString>) -> Result<HeaderValue, String> {
    let problem = |what: &str| format!("environment variable {variable} {what}");
    let token = token.ok_or_else(|| problem("is not set; set it to the token"))?;
    let token = token.to_str().unwrap_or("\0");
    if token.is_empty() {
        return Err(problem("is empty; set it to the token, or unset it"));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(problem(
            "contains a character that is invalid in a token, such as a space or a line end; set it to the token only",
        ));
    }
    sensitive(&format!("Bearer {token}"))
}

fn basic(url: &Url) -> Result<Option<HeaderValue>, String> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let decoded = |text: &str| percent_decoded(text).into_owned();
    let pair = [decoded(url.username()), b":".to_vec(), decoded(url.password().unwrap_or_default())].concat();
    sensitive(&format!("Basic {}", BASE64_STANDARD.encode(pair))).map(Some)
}

fn sensitive(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::try_from(text).map_err(|error| error.to_string())?;
    value.set_sensitive(true);
    Ok(value)
}

/// Decodes `%40` and the like, which stand for special characters in a password.
fn percent_decoded(text: &str) -> Cow<'_, [u8]> {
    percent_encoding::percent_decode_str(text).into()
}

/// Returns `text` with `***` in place of everything between `//` and `@`.
pub fn redacted(text: &str) -> String {
    let mut redacted = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("//") {
        let (before, after) = rest.split_at(at + 2);
        redacted.push_str(before);
        let end = after.find(|c: char| "/?#'\"".contains(c) || c.is_whitespace()).unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(at) => {
                redacted.push_str("***");
                &after[at..]
            }
            None => after,
        };
    }
    redacted + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Endpoint {
        Endpoint::new(url.parse().unwrap(), "LOADGEN_TEST_UNSET").unwrap()
    }

    #[test]
    fn addresses_of_pages_have_a_scheme_a_host_and_no_query() {
        assert_eq!(page_url("https://a:1/metrics").unwrap().as_str(), "https://a:1/metrics");
        for (text, problem) in [
            ("http://a/metrics?key=s3cret", "an address must not have a query; remove it"),
            ("http://a/#s3cret", "an address must not have a query; remove it"),
            ("ftp://a/", "begins with http:// or https://"),
            ("metrics", "expected something like http://127.0.0.1:8000"),
        ] {
            let refused = page_url(text).unwrap_err();
            assert!(refused.contains(problem) && !refused.contains("s3cret"), "{refused}");
        }
    }

    #[test]
    fn paths_are_appended_to_the_path_of_the_address() {
        let below = |base: &str, path: &str| endpoint(base).below(path).to_string();
        assert_eq!(below("http://a:1", "/predict"), "http://a:1/predict");
        assert_eq!(below("http://a:1/models/iris/", "predict"), "http://a:1/models/iris/predict");
        assert_eq!(below("http://a:1/x", "/v2/m?n=2"), "http://a:1/x/v2/m?n=2");
    }

    #[test]
    fn credentials_are_removed_from_the_address() {
        let endpoint = endpoint("http://Aladdin:open%20sesame@a:1/x");
        assert_eq!(endpoint.url().as_str(), "http://a:1/x");
        // The example of RFC 7617.
        assert_eq!(endpoint.authorization().unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(!format!("{endpoint:?}").contains("QWxh"));
    }

    #[test]
    fn errors_about_tokens_do_not_show_them() {
        let refusal = |token: &str| bearer("V", Some(token.into())).unwrap_err();
        assert!(bearer("V", None).unwrap_err().contains("variable V is not set"));
        assert!(refusal("").contains("variable V is empty"));
        for token in ["s3cret\n", "s3 cret", "s3crét", "s3cret\u{7f}"] {
            assert!(refusal(token).contains("a character that is invalid in a token"), "{token:?}");
            assert!(!refusal(token).contains("s3"), "{token:?}");
        }
    }

    #[test]
    fn passwords_are_removed_from_messages() {
        assert_eq!(redacted("'htp://u:p@h/x' and http://h/@"), "'htp://***@h/x' and http://h/@");
        assert_eq!(redacted("http://u:p@w@h"), "http://***@h");
    }
}
