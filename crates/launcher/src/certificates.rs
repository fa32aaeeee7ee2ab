//! Two authorities and what they sign: one for the roles' calls to each other, one for clients.
//! Who trusts the second must not have to trust it with the first.

use std::path::Path;

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::files;
use crate::folder::Folder;
use crate::role::Role;

/// Makes those that are missing: `rpc-ca.crt`, `<role>.crt` and `.key`, `client-ca.crt` and
/// `haproxy.pem` among the secrets.
pub(crate) fn make(folder: &Folder, server_name: &str) -> anyhow::Result<()> {
    let secret = |name: &str| folder.secret(name);
    let rpc = authority(&secret("rpc-ca.crt"), &secret("rpc-ca.key"), "ganglion rpc")?;
    for role in Role::all() {
        let (certificate, key) = (
            secret(&format!("{role}.crt")),
            secret(&format!("{role}.key")),
        );
        if certificate.exists() && key.exists() {
            continue;
        }
        let (signed, pair) = issue(
            &rpc,
            vec![format!("{role}.ganglion.internal")],
            role.as_str(),
        )?;
        files::write(&key, pair.as_bytes(), 0o600)?;
        files::write(&certificate, signed.as_bytes(), 0o644)?;
    }
    let bundle = secret("haproxy.pem");
    if !bundle.exists() {
        let clients = authority(
            &secret("client-ca.crt"),
            &secret("client-ca.key"),
            "ganglion local",
        )?;
        let mut names = ["localhost", "127.0.0.1", "::1"]
            .map(str::to_owned)
            .to_vec();
        let host = host_of(server_name);
        if !names.iter().any(|name| name == host) {
            names.push(host.to_owned());
        }
        let (signed, pair) = issue(&clients, names, host)?;
        files::write(&bundle, format!("{signed}{pair}").as_bytes(), 0o600)?;
    }
    Ok(())
}

/// A server name without its port.
fn host_of(server_name: &str) -> &str {
    if let Some((address, _)) = server_name
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        return address;
    }
    match server_name.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') && port.parse::<u16>().is_ok() => host,
        _ => server_name,
    }
}

fn authority(
    certificate: &Path,
    key: &Path,
    name: &str,
) -> anyhow::Result<Issuer<'static, KeyPair>> {
    if !certificate.exists() || !key.exists() {
        let pair = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let signed = params.self_signed(&pair)?;
        files::write(key, pair.serialize_pem().as_bytes(), 0o600)?;
        files::write(certificate, signed.pem().as_bytes(), 0o644)?;
    }
    let read = || -> anyhow::Result<_> {
        let pair = KeyPair::from_pem(&std::fs::read_to_string(key)?)?;
        Ok(Issuer::from_ca_cert_pem(
            &std::fs::read_to_string(certificate)?,
            pair,
        )?)
    };
    read().with_context(|| format!("read {} and its key", certificate.display()))
}

/// A certificate and its key, both PEM.
fn issue(
    authority: &Issuer<'static, KeyPair>,
    names: Vec<String>,
    common_name: &str,
) -> anyhow::Result<(String, String)> {
    let pair = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.use_authority_key_identifier_extension = true;
    let signed = params.signed_by(&pair, authority)?;
    Ok((signed.pem(), pair.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn a_port_is_no_part_of_the_host() {
        let cases = [
            ("localhost", "localhost"),
            ("localhost:8448", "localhost"),
            ("example.org", "example.org"),
            ("[2001:db8::1]:8448", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("192.0.2.1:80", "192.0.2.1"),
        ];
        for (name, host) in cases {
            assert_eq!(host_of(name), host);
        }
    }
}
