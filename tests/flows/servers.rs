//! Servers as models: what each makes of the raw path of a request.
//!
//! A model is the least that decides which resource is served: what it decodes, drops, merges and
//! resolves, and in which order. It gives every resource that some configuration of the server
//! serves for the path, and none where the server refuses it.

/// A server: its name, and the resources that it may serve for a raw path.
pub type Server = (&'static str, fn(&[u8]) -> Vec<Vec<u8>>);

/// All servers, and pairs of a proxy that sends on what it has read and a server behind it.
pub const SERVERS: [Server; 21] = [
    ("nginx", nginx),
    ("nginx, merge_slashes off", nginx_keeping_slashes),
    ("Apache", apache),
    ("Apache on Windows", apache_on_windows),
    ("Tomcat", tomcat),
    ("Tomcat with lenient UTF-8", lenient_tomcat),
    ("Jetty", jetty),
    ("IIS", iis),
    ("IIS with double escapes", iis_decoding_twice),
    ("Node", node),
    ("Express", express),
    ("Django", django),
    ("Go's mux", go),
    ("a program that parses the target as a URL", url_parsing),
    ("ASP.NET", aspnet),
    ("Windows with streams", streams),
    ("Apache before PHP-FPM", apache_before_fpm),
    ("nginx before a program that parses URLs", |path| {
        through(nginx, url_parsing, path)
    }),
    ("nginx before Tomcat", |path| through(nginx, tomcat, path)),
    ("Apache before IIS", |path| through(apache, iis, path)),
    ("Node before Go's mux", |path| through(node, go, path)),
];

/// Decodes and merges at once, and resolves dot segments.
fn nginx(path: &[u8]) -> Vec<Vec<u8>> {
    vec![resolve(&merge(&decode(path)))]
}

fn nginx_keeping_slashes(path: &[u8]) -> Vec<Vec<u8>> {
    vec![resolve(&decode(path))]
}

/// `AllowEncodedSlashes` is `On` or `NoDecode`; with `Off` it refuses them. `MergeSlashes` is on.
fn apache(path: &[u8]) -> Vec<Vec<u8>> {
    [decode(path), decode_but(path, b"/")]
        .map(|path| resolve(&merge(&resolve(&path))))
        .into()
}

/// The file system also takes backslashes for slashes, and drops dots and blanks at the end of names.
fn apache_on_windows(path: &[u8]) -> Vec<Vec<u8>> {
    let files = |path: Vec<u8>| windows(&backslashes(&path));
    apache(path).into_iter().map(files).collect()
}

/// Drops parameters before it decodes; `encodedSolidusHandling` is `decode` or `passthrough`.
fn tomcat(path: &[u8]) -> Vec<Vec<u8>> {
    let path = without_parameters(path);
    let mut read = Vec::new();
    for decoded in [decode(&path), decode_but(&path, b"/")] {
        read.push(resolve(&merge(&decoded)));
        read.push(resolve(&merge(&backslashes(&decoded))));
    }
    read
}

/// A decoder that accepts characters in more bytes than they need.
fn lenient_tomcat(path: &[u8]) -> Vec<Vec<u8>> {
    let decoded = overlong(&decode(&without_parameters(path)));
    vec![resolve(&merge(&decoded))]
}

/// Decodes and drops parameters in one pass, so an encoded semicolon begins none; keeps empty
/// segments.
fn jetty(path: &[u8]) -> Vec<Vec<u8>> {
    let path = without_parameters(path);
    vec![resolve(&decode(&path)), resolve(&decode(&resolve(&path)))]
}

/// http.sys decodes, then the file system reads.
fn iis(path: &[u8]) -> Vec<Vec<u8>> {
    let turned = backslashes(&decode(path));
    vec![
        resolve(&turned),
        resolve(&merge(&turned)),
        windows(&resolve(&turned)),
    ]
}

/// `allowDoubleEscaping`.
fn iis_decoding_twice(path: &[u8]) -> Vec<Vec<u8>> {
    iis(&decode(path))
}

/// A program that takes `req.url` apart itself: as it is, decoded whole, or segment by segment.
fn node(path: &[u8]) -> Vec<Vec<u8>> {
    let whole = decode(path);
    vec![
        resolve(&whole),
        posix_normalise(&whole),
        decode_but(path, b"/"),
        whole,
    ]
}

/// Compares routes with the path as it came, and decodes what a parameter of a route has matched.
/// Escapes that every URL needs are written in one way only, so they are read decoded here.
fn express(path: &[u8]) -> Vec<Vec<u8>> {
    let needless = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    vec![decode_if(path, |byte| !needless(byte))]
}

/// WSGI has the path decoded once; nothing is resolved.
fn django(path: &[u8]) -> Vec<Vec<u8>> {
    vec![decode(path)]
}

/// Cleans the decoded path by a redirect, or matches segment by segment (since 1.22).
fn go(path: &[u8]) -> Vec<Vec<u8>> {
    vec![
        posix_normalise(&decode(path)),
        decode_but(path, b"/"),
        decode(path),
    ]
}

/// `new URL(target, base).pathname`, `urlsplit`, `parse_url`, `java.net.URI`: what follows two slashes is a host, for some
/// also what follows more. A query and a fragment end the path.
fn url_parsing(path: &[u8]) -> Vec<Vec<u8>> {
    let end = path.iter().position(|byte| b"?#".contains(byte));
    let path = &path[..end.unwrap_or(path.len())];
    let behind_host = |rest: &[u8]| match rest.iter().position(|byte| *byte == b'/') {
        Some(at) => rest[at..].to_vec(),
        None => b"/".to_vec(),
    };
    let mut read = Vec::new();
    match path.strip_prefix(b"//") {
        Some(rest) => {
            let first = rest.iter().position(|byte| *byte != b'/');
            read.push(behind_host(&rest[first.unwrap_or(rest.len())..]));
            if first == Some(0) {
                read.push(behind_host(rest));
            }
        }
        None => read.push(path.to_vec()),
    }
    // Compared as it came, or decoded.
    let mut read: Vec<_> = (read.iter())
        .flat_map(|path| [express(path), vec![decode(path)]].concat())
        .collect();
    let resolved: Vec<_> = read.iter().map(|path| resolve(path)).collect();
    read.extend(resolved);
    read
}

/// The last `/(…)/` that holds sessions is taken off, whatever the configuration.
fn aspnet(path: &[u8]) -> Vec<Vec<u8>> {
    let holds_sessions = |segment: &[u8]| {
        let text = String::from_utf8_lossy(segment);
        let inner = text
            .strip_prefix('(')
            .and_then(|rest| rest.strip_suffix(')'));
        inner.is_some_and(|inner| {
            !inner.is_empty()
                && inner.split_terminator(')').all(|one| {
                    let mut characters = one.chars();
                    characters
                        .next()
                        .is_some_and(|letter| letter.is_ascii_uppercase())
                        && characters.next() == Some('(')
                })
                && inner.ends_with(')')
        })
    };
    let without = |path: Vec<u8>| {
        let mut kept = segments(&path);
        if let Some(last) = kept.iter().rposition(|segment| holds_sessions(segment)) {
            kept.remove(last);
        }
        joined(&kept)
    };
    iis(path).into_iter().map(without).collect()
}

/// A static server on NTFS.
fn streams(path: &[u8]) -> Vec<Vec<u8>> {
    let named = |path: Vec<u8>| {
        let read: Vec<Vec<u8>> = segments(&path)
            .into_iter()
            .map(
                |segment| match segment.iter().position(|byte| *byte == b':') {
                    Some(colon) if segment[colon..].contains(&b'$') => segment[..colon].to_vec(),
                    _ => segment.to_vec(),
                },
            )
            .collect();
        joined(&read.iter().map(Vec::as_slice).collect::<Vec<_>>())
    };
    node(path)
        .into_iter()
        .filter(|path| path.starts_with(b"/"))
        .map(named)
        .collect()
}

/// `SetHandler "proxy:fcgi:…"` makes a URL of the decoded path, and what follows a question mark is its query.
fn apache_before_fpm(path: &[u8]) -> Vec<Vec<u8>> {
    let cut = |path: Vec<u8>| {
        let end = path.iter().position(|byte| *byte == b'?');
        path[..end.unwrap_or(path.len())].to_vec()
    };
    apache(path).into_iter().map(cut).collect()
}

/// What `server` makes of what `proxy` has read and written anew.
fn through(
    proxy: fn(&[u8]) -> Vec<Vec<u8>>,
    server: fn(&[u8]) -> Vec<Vec<u8>>,
    path: &[u8],
) -> Vec<Vec<u8>> {
    let read = proxy(path);
    // Some proxies send what they have decoded as it is.
    let written = read.iter().map(|path| encode(path));
    written
        .chain(read.iter().cloned())
        .flat_map(|path| server(&path))
        .collect()
}

fn encode(path: &[u8]) -> Vec<u8> {
    let mut written = Vec::new();
    for &byte in path {
        if byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte) {
            written.push(byte);
        } else {
            written.extend(format!("%{byte:02X}").into_bytes());
        }
    }
    written
}

fn decode(path: &[u8]) -> Vec<u8> {
    decode_if(path, |_| true)
}

fn decode_but(path: &[u8], kept: &[u8]) -> Vec<u8> {
    decode_if(path, |byte| !kept.contains(&byte))
}

fn decode_if(path: &[u8], decodes: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < path.len() {
        let value = std::str::from_utf8(path.get(at + 1..at + 3).unwrap_or_default())
            .ok()
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match value {
            Some(value) if path[at] == b'%' => {
                if decodes(value) {
                    decoded.push(value);
                } else {
                    decoded.extend(path[at..at + 3].to_ascii_uppercase());
                }
                at += 3;
            }
            _ => {
                decoded.push(path[at]);
                at += 1;
            }
        }
    }
    decoded
}

fn segments(path: &[u8]) -> Vec<&[u8]> {
    path[1..].split(|byte| *byte == b'/').collect()
}

fn joined(segments: &[&[u8]]) -> Vec<u8> {
    let mut path = Vec::new();
    for segment in segments {
        path.push(b'/');
        path.extend_from_slice(segment);
    }
    path
}

fn merge(path: &[u8]) -> Vec<u8> {
    let mut merged: Vec<u8> = Vec::new();
    for &byte in path {
        if byte != b'/' || merged.last() != Some(&b'/') {
            merged.push(byte);
        }
    }
    merged
}

fn resolve(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let all = segments(path);
    for (index, segment) in all.iter().enumerate() {
        let last = index + 1 == all.len();
        match *segment {
            b"." | b".." => {
                if *segment == b".." {
                    kept.pop();
                }
                if last {
                    kept.push(b"");
                }
            }
            other => kept.push(other),
        }
    }
    joined(&kept)
}

/// As `path.posix.normalize` and Go's `path.Clean` do, with a slash at the end as it was.
fn posix_normalise(path: &[u8]) -> Vec<u8> {
    resolve(&merge(path))
}

fn backslashes(path: &[u8]) -> Vec<u8> {
    let turn = |byte: &u8| if *byte == b'\\' { b'/' } else { *byte };
    path.iter().map(turn).collect()
}

fn without_parameters(path: &[u8]) -> Vec<u8> {
    let cut = |segment: &'_ [u8]| {
        let end = segment.iter().position(|byte| *byte == b';');
        segment[..end.unwrap_or(segment.len())].to_vec()
    };
    let cut: Vec<Vec<u8>> = segments(path).into_iter().map(cut).collect();
    joined(&cut.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// How Windows reads the names of files and folders.
fn windows(path: &[u8]) -> Vec<u8> {
    let name = |segment: &'_ [u8]| {
        let blank = |byte: &u8| *byte == b' ';
        let trimmed = segment.iter().rposition(|byte| !blank(byte));
        let unblanked = &segment[..trimmed.map_or(0, |at| at + 1)];
        if matches!(unblanked, b"." | b"..") {
            return unblanked.to_vec();
        }
        let end = segment.iter().rposition(|byte| !b". ".contains(byte));
        segment[..end.map_or(0, |at| at + 1)].to_vec()
    };
    let read: Vec<Vec<u8>> = segments(path).into_iter().map(name).collect();
    resolve(&merge(&joined(
        &read.iter().map(Vec::as_slice).collect::<Vec<_>>(),
    )))
}

fn overlong(path: &[u8]) -> Vec<u8> {
    let mut read = Vec::new();
    let mut at = 0;
    while at < path.len() {
        let (value, length) = match path[at..] {
            [lead @ (0xC0 | 0xC1), last @ 0x80..=0xBF, ..] => (((lead & 1) << 6) | (last & 63), 2),
            [0xE0, middle @ (0x80 | 0x81), last @ 0x80..=0xBF, ..] => {
                (((middle & 1) << 6) | (last & 63), 3)
            }
            _ => (path[at], 1),
        };
        read.push(value);
        at += length;
    }
    read
}
