use super::*;

fn sent(path: &str) -> Result<String, PathError> {
    RequestPath::parse(path).map(|path| path.as_str().to_owned())
}

fn readings(path: &str) -> Vec<String> {
    let path = RequestPath::parse(path).unwrap();
    let text = |reading: &[u8]| reading.escape_ascii().to_string();
    path.readings().map(text).collect()
}

#[test]
fn the_bytes_that_came_are_the_bytes_that_are_sent() {
    for path in [
        "/",
        "//",
        "//a///b//",
        "/a%2Fb%2fc",
        "/@scope%2fpkg",
        "/a%5Cb%5cc",
        "/a;b=c/;/d%3Be",
        "/%61%7Euser%2e",
        "/caf%E9",
        "/%C0%AF%FF",
        "/a%252Fb%2525",
        "/.../..a/a../.a/a.",
        "/..;/..%2f..%5c",
        "/a|b[c]",
        "/a:b@c,d!$&'()*+=~-_.",
    ] {
        assert_eq!(sent(path).as_deref(), Ok(path), "{path}");
    }
}

#[test]
fn what_no_url_parser_leaves_alone_is_sent_as_the_platform_would_send_it() {
    for (path, expected) in [
        ("", "/"),
        ("a", "/a"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/../../b", "/b"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/a/.", "/a/"),
        ("/a//../b", "/a/b"),
        ("/.//b", "//b"),
        ("//..", "/"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.%2e", "/"),
        ("/%2E/b", "/b"),
        ("/a b", "/a%20b"),
        ("/é", "/%C3%A9"),
        ("/{a}^`\"<>", "/%7Ba%7D%5E%60%22%3C%3E"),
        // A URL parser would make a slash of it, which is another path.
        ("/a\\b", "/a%5Cb"),
        ("/a\\..\\b", "/a%5C..%5Cb"),
    ] {
        assert_eq!(sent(path).as_deref(), Ok(expected), "{path}");
    }
}

#[test]
fn ordinary_paths_have_one_reading_which_is_not_copied() {
    for path in [
        "/",
        "/a/b.c",
        "/a/b/",
        "/@user/a:b,c",
        "/~a/-_!$&'()*+=",
        "/a.b/c..d",
    ] {
        let path = RequestPath::parse(path).unwrap();
        assert!(
            path.is_plain() && matches!(path.sent, Cow::Borrowed(_)),
            "{path:?}"
        );
        assert_eq!(path.readings.capacity(), 0);
    }
    for (path, reading) in [
        ("/a%20b/c", "/a b/c"),
        ("/%C3%A9t%c3%a9", "/\\xc3\\xa9t\\xc3\\xa9"),
        ("/caf%E9", "/caf\\xe9"),
        ("/user%40x.org", "/user@x.org"),
        ("/100%25", "/100%"),
        ("/.well-known/x", "/.well-known/x"),
    ] {
        assert_eq!(readings(path), [reading], "{path}");
    }
}

#[test]
fn sec_33_a_path_is_read_in_every_way() {
    for (path, expected) in [
        ("/a%2Fb", &["/a%2Fb", "/a/b"][..]),
        ("/a/%2F/b", &["/a/%2F/b", "/a///b", "/a/b"]),
        ("/%61", &["/%61", "/a"]),
        ("/a;x/b", &["/a;x/b", "/a/b"]),
        ("/a%3Bx", &["/a%3Bx", "/a;x", "/a"]),
        ("/a//b", &["/a//b", "/a/b"]),
        ("/a./b", &["/a./b", "/a/b"]),
        ("/a%20/b", &["/a /b", "/a/b"]),
        ("/a/..;/b", &["/a/..;/b", "/a/../b", "/b"]),
        ("/a%5Cb", &["/a%5Cb", "/a\\\\b", "/a/b"]),
        ("/a%252Fb", &["/a%2Fb", "/a/b"]),
        // Decoded once, only the second slash is one.
        ("/a%252Fb%2Fc", &["/a%2Fb%2Fc", "/a%2Fb/c", "/a/b/c"]),
        ("/%2525", &["/%25", "/%"]),
        (
            "/a/.%2e%2fb",
            &["/a/.%2E%2Fb", "/a/..%2Fb", "/a/../b", "/b"],
        ),
        ("/a/...", &["/a/...", "/a/.", "/a/..", "/a/", "/"]),
        ("/%C0%AFa", &["/\\xc0\\xafa", "//a", "/a", "/"]),
        ("//x/admin", &["//x/admin", "/x/admin", "/admin"]),
        ("//x", &["//x", "/x", "/"]),
        ("/a%3Fb", &["/a?b", "/a"]),
        ("/a%23b/c", &["/a#b/c", "/a"]),
        ("/a::$DATA", &["/a::$DATA", "/a"]),
        (
            "/a:$i30:$INDEX_ALLOCATION/b",
            &["/a:$i30:$INDEX_ALLOCATION/b", "/a/b"],
        ),
        ("/(S(x))/a", &["/(S(x))/a", "/a"]),
        ("/a/(A(x)F(y))/b", &["/a/(A(x)F(y))/b", "/a/b"]),
        ("/(x)/a", &["/(x)/a"]),
        ("/%E0%81%A1", &["/\\xe0\\x81\\xa1", "/a"]),
        ("/%F0%80%81%A1", &["/\\xf0\\x80\\x81\\xa1", "/a"]),
    ] {
        let mut expected: Vec<&str> = expected.to_vec();
        let mut found = readings(path);
        assert_eq!(found[0], expected[0], "{path}");
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "{path}");
    }
    for (path, within) in [
        ("/static/..%2fadmin", "/admin"),
        ("/static/..;/admin", "/admin"),
        ("/static/%2e%2e%2fadmin", "/admin"),
        ("/static\\..\\admin", "/admin"),
        ("/static/%252e%252e/admin", "/admin"),
        ("/static/..%5cadmin", "/admin"),
        ("/static/%C0%AE%C0%AE/admin", "/admin"),
        ("/static/..%20/admin", "/admin"),
        ("/static/..%3b/admin", "/admin"),
        ("/static/%25%32%65%25%32%65/admin", "/admin"),
        ("/x//%2e%2e%2f..//admin", "/admin"),
        ("/a//..%2fadmin", "/admin"),
    ] {
        let found = readings(path);
        assert!(
            found.iter().any(|reading| reading == within),
            "{path}: {found:?}"
        );
    }
}

#[test]
fn sec_33_what_no_server_should_read_is_refused() {
    for (path, expected) in [
        ("/a%00", PathError::Control),
        ("/a\u{1}", PathError::Control),
        ("/a%0d%0aX", PathError::Control),
        ("/a%7f", PathError::Control),
        ("/a%2500", PathError::Control),
        ("/a%C0%80", PathError::Control),
        ("/a%zz", PathError::Escape),
        ("/a%2", PathError::Escape),
        ("/a%", PathError::Escape),
        ("/%u002e", PathError::Escape),
    ] {
        assert_eq!(sent(path), Err(expected), "{path}");
    }
}

#[test]
fn sec_78_the_readings_of_a_path_are_bounded_in_number_and_length() {
    let many = |piece: &str, times: usize| sent(&format!("/{}", piece.repeat(times)));
    assert_eq!(many("%25", 1).as_deref(), Ok("/%25"));
    assert_eq!(many("%", 1), Err(PathError::Escape));
    // Each decoding makes another reading of it.
    assert_eq!(
        sent(&format!("/%{}41", "25".repeat(200))),
        Err(PathError::Readings)
    );
    let nested = "%25%32%35;%2F..%5C.%20//;%2525".repeat(4);
    assert_eq!(sent(&format!("/{nested}")), Err(PathError::Readings));
    assert!(many("a%2F", 4_000).is_ok());
    assert_eq!(many("a%2F", 16_000), Err(PathError::TooLong));
}

#[test]
fn a_strict_path_has_one_reading() {
    let path = RequestPath::parse_strictly("//%61/./b%20%3a").unwrap();
    assert_eq!(path.as_str(), "/a/b%20%3A");
    assert_eq!(path.readings().collect::<Vec<_>>(), [b"/a/b :"]);
    assert!(RequestPath::parse_strictly("/a%2Fb").is_err());
    assert!(RequestPath::parse_strictly("/a").unwrap().is_plain());
}

#[test]
fn sec_33_what_is_left_without_the_base_is_read_alone_too() {
    let local = RequestPath::parse("//evil/admin").unwrap();
    let below = local.below(0, "/b").unwrap();
    assert_eq!(below.as_str(), "//evil/admin");
    let readings: Vec<_> = below.readings().map(String::from_utf8_lossy).collect();
    for reading in ["//evil/admin", "/evil/admin", "/admin"] {
        assert!(readings.contains(&reading.into()), "{readings:?}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(4000))]
    #[test]
    fn what_is_sent_stays_as_it_is(path in "([/a.;é\\\\#~ ]|%25|%2[ef]|%5c|%3b|%c0%ae|%){0,16}") {
        if let Ok(once) = RequestPath::parse(&path) {
            let text = once.as_str();
            proptest::prop_assert!(text.starts_with('/') && text.is_ascii());
            proptest::prop_assert!(!text.contains("/../") && !text.contains("/./") && !text.contains('\\'));
            let twice = RequestPath::parse(text).unwrap();
            proptest::prop_assert_eq!(twice.as_str(), text);
            proptest::prop_assert!(once.readings().eq(twice.readings()));
            proptest::prop_assert!(once.readings().all(|reading| reading.starts_with(b"/")));
        }
    }
}
