//! The one HTTP client: for Twilio, and under the AWS SDK, so that a function links one HTTP and
//! one TLS stack (docs/adr/0002).

use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A claim's lease outlasts this, so that nobody else sends what is still under way.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// A client with ring and Mozilla's roots: both cost next to nothing at a cold start.
pub fn new() -> reqwest::Client {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let tls = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .expect("nothing here depends on the machine")
}
