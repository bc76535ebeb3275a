//! Which URLs Twilio is asked to fetch: the media of a message, and the TwiML of a call (S1-78, S4-10..13).
//!
//! Absolute, http or https, and on a public host: Twilio takes no other (twilio-facts §1), and whatever
//! follows such a URL must not be led into a private network. The check reads the URL only. What a name
//! resolves to is not known here; Twilio fetches from outside.

use core::net::{Ipv4Addr, Ipv6Addr};

/// How many media a message carries at most (Twilio's error 21623).
pub const MOST: usize = 10;

/// How long a URL is at most, in bytes. Ours: Twilio names no limit.
const LONGEST: usize = 2048;

/// Why a URL is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    #[error("not an absolute URL: https://host/path, without spaces")]
    NotAbsolute,
    #[error("neither http nor https")]
    NotHttp,
    #[error("a URL must not hold a user name or password")]
    HasCredentials,
    #[error("not a public address")]
    PrivateAddress,
    #[error("longer than 2048 bytes")]
    TooLong,
    #[error("not a usable host or port")]
    BadHost,
}

/// Whether Twilio may be asked to fetch `url`.
///
/// # Errors
/// [`MediaError`] says what to mend in the URL.
pub fn check(url: &str) -> Result<(), MediaError> {
    if url.len() > LONGEST {
        return Err(MediaError::TooLong);
    }
    // Some readers drop these and some read `\` as `/`: what is checked would not be what is fetched.
    if url.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
        return Err(MediaError::NotAbsolute);
    }
    let (scheme, rest) = url.split_once(':').filter(|(scheme, _)| is_scheme(scheme)).ok_or(MediaError::NotAbsolute)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(MediaError::NotHttp);
    }
    let rest = rest.strip_prefix("//").ok_or(MediaError::NotAbsolute)?;
    let authority = rest.find(['/', '?', '#']).map_or(rest, |end| &rest[..end]);
    if authority.contains('@') {
        return Err(MediaError::HasCredentials);
    }
    match authority.strip_prefix('[') {
        Some(literal) => check_ipv6(literal),
        None => check_host(authority),
    }
}

/// RFC 3986, §3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// `2606:4700::1111]:8443`: the rest of an authority after its `[`.
fn check_ipv6(literal: &str) -> Result<(), MediaError> {
    let (address, port) = literal.split_once(']').ok_or(MediaError::BadHost)?;
    let port_fits = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    let address = address.parse::<Ipv6Addr>().ok().filter(|_| port_fits).ok_or(MediaError::BadHost)?;
    if is_public_ipv6(address) { Ok(()) } else { Err(MediaError::PrivateAddress) }
}

/// A name or an IPv4 address, with or without a port.
fn check_host(authority: &str) -> Result<(), MediaError> {
    let (host, port) = authority.split_once(':').unwrap_or((authority, "80"));
    // `example.com.` is `example.com`, and `127.0.0.1.` is `127.0.0.1`.
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    if !is_port(port) || host.len() > 253 || !host.split('.').all(is_label) {
        return Err(MediaError::BadHost);
    }
    if ends_in_number(&host) {
        let address = host.parse::<Ipv4Addr>().map_err(|_| MediaError::BadHost)?;
        return if is_public_ipv4(address) { Ok(()) } else { Err(MediaError::PrivateAddress) };
    }
    if is_local_name(&host) { Err(MediaError::PrivateAddress) } else { Ok(()) }
}

/// Empty for the scheme's own.
fn is_port(text: &str) -> bool {
    text.is_empty() || (text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Letters, digits and inner hyphens. No underscores: Twilio refuses such hosts. International names
/// come as `xn--…`: how others would encode them is not ours to guess.
fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether readers take the host for an IPv4 address, by the rule of the WHATWG URL standard: they read
/// `2130706433`, `0x7f.1` and `017700000001` as 127.0.0.1. Only the plain dotted quad is accepted.
fn ends_in_number(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or(host);
    let is_hex = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    is_hex || last.bytes().all(|b| b.is_ascii_digit())
}

/// Names that mean something only inside a network: those without a dot, and the suffixes of such networks.
fn is_local_name(host: &str) -> bool {
    const LOCAL: [&str; 6] = [".localhost", ".local", ".localdomain", ".internal", ".lan", ".home.arpa"];
    !host.contains('.') || LOCAL.iter().any(|suffix| host.ends_with(*suffix))
}

/// Not of the special ranges of RFC 6890 that lead into a network, to many hosts or nowhere.
fn is_public_ipv4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        [0 | 10 | 127, ..] // this network, private, loopback
            | [100, 64..=127, ..] // behind a carrier's NAT
            | [169, 254, ..] // link-local, and the clouds' metadata
            | [172, 16..=31, ..]
            | [192, 168, ..]
            | [192, 0, 0, _]
            | [198, 18..=19, ..] // benchmarks
            | [224..=255, ..] // multicast, reserved, broadcast
    )
}

/// Global unicast only, and then not as a wrapping of an IPv4 address that is not public.
fn is_public_ipv6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // `::ffff:a.b.c.d`, and 6to4's `2002:aabb:ccdd::`
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x2002, high, low, ..] => {
            is_public_ipv4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
        }
        // Teredo wraps one too, in disguise.
        [0x2001, 0, ..] => false,
        [first, ..] => (0x2000..=0x3fff).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_refused(urls: &[&str], error: MediaError) {
        for url in urls {
            assert_eq!(check(url), Err(error), "{url}");
        }
    }

    #[test]
    fn public_http_urls_are_accepted() {
        for url in [
            "https://example.com/a.jpg",
            "http://example.com",
            "HTTPS://WWW.Example.COM/A.JPG?x=1#y",
            "https://example.com:8443/a.jpg",
            "https://example.com:/a.jpg",
            "https://example.com./a.jpg",
            "https://example.com?redirect=http://127.0.0.1/",
            "https://example.com/@me/a:b@c",
            "https://xn--bcher-kva.example/a.jpg",
            "https://example.com/b\u{fc}cher.jpg",
            "https://3.example/x",
            "https://0x7f.example/x",
            "https://cafe.de/x",
            "https://8.8.8.8/a.jpg",
            "https://8.8.8.8:80/a.jpg",
            "https://172.32.0.1/",
            "https://100.128.0.1/",
            "https://[2606:4700::1111]/a.jpg",
            "https://[2606:4700::1111]:8443/a.jpg",
            "https://[::ffff:8.8.8.8]/",
        ] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn only_absolute_urls_are_accepted() {
        all_refused(
            &[
                "",
                "a.jpg",
                "/a.jpg",
                "//example.com/a.jpg",
                "example.com/a.jpg",
                "http:/example.com/a.jpg",
                "https:example.com",
                "://example.com",
                " https://example.com",
                "https://example.com/a b.jpg",
                "https://exam\tple.com/",
                "https://example.com\n",
                "https://example.com\\@evil.example/",
                "http:\\\\example.com/",
            ],
            MediaError::NotAbsolute,
        );
    }

    #[test]
    fn only_http_is_accepted() {
        all_refused(
            &["ftp://example.com/a.jpg", "file:///etc/passwd", "data:image/png;base64,AAAA", "javascript:alert(1)", "gopher://x"],
            MediaError::NotHttp,
        );
    }

    #[test]
    fn credentials_are_refused() {
        all_refused(
            &["https://me:secret@example.com", "https://me@example.com", "https://a.example@127.0.0.1/", "http://@x.example"],
            MediaError::HasCredentials,
        );
    }

    #[test]
    fn private_addresses_are_refused() {
        all_refused(
            &[
                "http://127.0.0.1/",
                "http://127.0.0.1:8080/",
                "http://127.0.0.1./",
                "http://127.255.255.254/",
                "http://0.0.0.0/",
                "http://0.1.2.3/",
                "http://10.0.0.1/",
                "http://172.16.0.1/",
                "http://172.31.255.255/",
                "http://192.168.1.1/",
                "http://169.254.169.254/latest/meta-data/",
                "http://100.64.0.1/",
                "http://100.127.255.255/",
                "http://192.0.0.8/",
                "http://198.18.0.1/",
                "http://224.0.0.1/",
                "http://240.0.0.1/",
                "http://255.255.255.255/",
            ],
            MediaError::PrivateAddress,
        );
        all_refused(
            &[
                "http://[::1]/",
                "http://[::]/",
                "http://[::1]:8080/",
                "http://[fc00::1]/",
                "http://[fd12:3456:789a::1]/",
                "http://[fe80::1]/",
                "http://[ff02::1]/",
                "http://[::ffff:127.0.0.1]/",
                "http://[::ffff:a9fe:a9fe]/",
                "http://[::127.0.0.1]/",
                "http://[64:ff9b::7f00:1]/",
                "http://[2002:7f00:1::]/",
                "http://[2001:0:7f00:1::1]/",
            ],
            MediaError::PrivateAddress,
        );
    }

    #[test]
    fn names_of_a_private_network_are_refused() {
        all_refused(
            &[
                "http://localhost/",
                "http://LOCALHOST:3000/",
                "http://localhost./",
                "http://app.localhost/",
                "http://printer.local/",
                "http://metadata.google.internal/",
                "http://nas.lan/",
                "http://router.home.arpa/",
                "http://intranet/a.jpg",
                "http://cafe/",
            ],
            MediaError::PrivateAddress,
        );
    }

    #[test]
    fn odd_spellings_of_an_address_are_refused() {
        all_refused(
            &[
                "http://2130706433/",
                "http://0x7f000001/",
                "http://0x7f.1/",
                "http://0x7f.0.0.0x1/",
                "http://0177.0.0.1/",
                "http://017700000001/",
                "http://127.1/",
                "http://127.0.1/",
                "http://08.8.8.8/",
                "http://1.2.3.4.5/",
                "http://256.1.1.1/",
                "http://0X7F.1/",
                "http://1.2.3.0x/",
                "http://8.8.8.8.8/",
            ],
            MediaError::BadHost,
        );
    }

    #[test]
    fn hosts_that_are_none_are_refused() {
        all_refused(
            &[
                "http://",
                "http:///a.jpg",
                "http://.",
                "http://:80/",
                "http://a..example/",
                "http://.example.com/",
                "http://my_host.example.com/",
                "http://b\u{fc}cher.example/",
                "http://\u{2460}27.0.0.1/",
                "http://127.0.0.\u{661}/",
                "http://%31%32%37.0.0.1/",
                "http://-a.example/",
                "http://a-.example/",
                "http://example.com:0/",
                "http://example.com:65536/",
                "http://example.com:+80/",
                "http://example.com:80:80/",
                "http://example.com..",
                "http://[::1/",
                "http://[::1]x/",
                "http://[fe80::1%25eth0]/",
                "http://[127.0.0.1]/",
                "http://[2606:4700::1111]:0/",
                "http://::1/",
            ],
            MediaError::BadHost,
        );
    }

    #[test]
    fn long_urls_are_refused() {
        let start = "https://example.com/";
        let fits = format!("{start}{}", "a".repeat(2048 - start.len()));

        assert_eq!(check(&fits), Ok(()));
        assert_eq!(check(&format!("{fits}a")), Err(MediaError::TooLong));
        assert_eq!(check(&format!("https://{}.example/", "a".repeat(64))), Err(MediaError::BadHost));
        assert_eq!(check(&format!("https://{}example/", "abcdefg.".repeat(31))), Err(MediaError::BadHost));
    }
}
