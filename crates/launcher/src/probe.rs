//! One HTTP request, with or without TLS, for its status only.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const LIMIT: Duration = Duration::from_secs(2);

/// The status that `GET path` is answered with; `None` if nobody answers in time.
pub(crate) async fn status(address: SocketAddr, path: &str) -> Option<u16> {
    let text = tokio::time::timeout(LIMIT, async {
        let mut stream = tokio::net::TcpStream::connect(address).await.ok()?;
        stream.write_all(request(path).as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        Some(answer)
    });
    parse(&text.await.ok()??)
}

/// The same with TLS, for the name `localhost`, by an authority of ours.
///
/// # Errors
/// The authority's file cannot be read.
pub(crate) async fn tls_status(
    address: SocketAddr,
    path: &str,
    authority: &Path,
) -> anyhow::Result<Option<u16>> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(authority)
        .with_context(|| format!("read {}", authority.display()))?;
    roots.add(certificate)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let request = request(path);
    // No async TLS is at hand, and this happens once per start.
    let asked = tokio::task::spawn_blocking(move || ask_blocking(config, address, &request));
    Ok(asked.await?.ok().and_then(|answer| parse(&answer)))
}

fn ask_blocking(
    config: ClientConfig,
    address: SocketAddr,
    request: &str,
) -> anyhow::Result<Vec<u8>> {
    let tcp = TcpStream::connect_timeout(&address, LIMIT)?;
    tcp.set_read_timeout(Some(LIMIT))?;
    tcp.set_write_timeout(Some(LIMIT))?;
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost")?)?;
    let mut stream = StreamOwned::new(connection, tcp);
    stream.write_all(request.as_bytes())?;
    // The status line is all that is wanted.
    let mut answer = vec![0; 64];
    let length = stream.read(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

fn parse(answer: &[u8]) -> Option<u16> {
    let line = String::from_utf8_lossy(answer);
    line.strip_prefix("HTTP/1.")?
        .split(' ')
        .nth(1)?
        .get(..3)?
        .parse()
        .ok()
}
