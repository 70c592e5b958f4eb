//! CBOR (RFC 8949) in the canonical form of CTAP2, as far as authenticators use it: integers, byte and text strings,
//! arrays, maps, true, false and null. Anything else, and any other form of these, is refused.

/// How deep items may be nested: CTAP2 allows four levels.
const MAX_DEPTH: u8 = 4;
/// The most items of an array or a map.
const MAX_ITEMS: u64 = 32;

/// An item.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Item<'a> {
    Integer(i64),
    Bytes(&'a [u8]),
    Text(&'a str),
    /// A map, which is well-formed; its bytes.
    Map(&'a [u8]),
    /// Anything else that is well-formed.
    Other,
}

/// Reads items one after another.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads `bytes` from their start.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What was not read.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// The entries of a map, in order: no key is there twice. `None` if it is none, or is malformed.
    pub fn map(&mut self) -> Option<Vec<(Item<'a>, Item<'a>)>> {
        match self.head()? {
            (5, count) => self.entries(count, MAX_DEPTH),
            _ => None,
        }
    }

    fn entries(&mut self, count: u64, depth: u8) -> Option<Vec<(Item<'a>, Item<'a>)>> {
        let mut entries = Vec::new();
        let mut last: &[u8] = &[];
        for _ in 0..within(count)? {
            let start = self.0;
            let key = self.item(depth)?;
            let encoded = start.get(..start.len() - self.0.len())?;
            // The canonical order of keys is that of their encodings.
            if encoded <= last {
                return None;
            }
            last = encoded;
            entries.push((key, self.item(depth)?));
        }
        Some(entries)
    }

    fn item(&mut self, depth: u8) -> Option<Item<'a>> {
        let depth = depth.checked_sub(1)?;
        let start = self.0;
        Some(match self.head()? {
            (0, number) => Item::Integer(i64::try_from(number).ok()?),
            (1, number) => Item::Integer(-1 - i64::try_from(number).ok()?),
            (2, length) => Item::Bytes(self.take(length)?),
            (3, length) => Item::Text(str::from_utf8(self.take(length)?).ok()?),
            (4, count) => {
                for _ in 0..within(count)? {
                    self.item(depth)?;
                }
                Item::Other
            }
            (5, count) => {
                self.entries(count, depth)?;
                Item::Map(start.get(..start.len() - self.0.len())?)
            }
            (7, 20..=22) => Item::Other,
            _ => return None,
        })
    }

    /// Major type and argument, in the shortest form.
    fn head(&mut self) -> Option<(u8, u64)> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        let major = first >> 5;
        let (length, least) = match first & 31 {
            small @ 0..24 => return Some((major, small.into())),
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            _ => return None,
        };
        let digits = self.take(length)?;
        let number = digits
            .iter()
            .fold(0, |sum, digit| (sum << 8) | u64::from(*digit));
        // A simple value below 32 has no second byte.
        (number >= least && major != 7).then_some((major, number))
    }

    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(taken)
    }
}

fn within(count: u64) -> Option<u64> {
    (count <= MAX_ITEMS).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8]) -> Option<Vec<(Item<'_>, Item<'_>)>> {
        let mut reader = Reader::new(bytes);
        let entries = reader.map()?;
        reader.rest().is_empty().then_some(entries)
    }

    #[test]
    fn a_canonical_map_is_read() {
        // {1: -7, -1: h'0102', "a": [true, null], "b": {}}
        let bytes = b"\xa4\x01\x26\x20\x42\x01\x02\x61a\x82\xf5\xf6\x61b\xa0";
        let expected = [
            (Item::Integer(1), Item::Integer(-7)),
            (Item::Integer(-1), Item::Bytes(&[1, 2])),
            (Item::Text("a"), Item::Other),
            (Item::Text("b"), Item::Map(&[0xa0])),
        ];
        assert_eq!(whole(bytes).as_deref(), Some(&expected[..]));
    }

    #[test]
    fn integers_have_their_whole_range_and_no_more() {
        let of = |bytes: &[u8]| {
            let bytes = [b"\xa1\x00", bytes].concat();
            match whole(&bytes)?.as_slice() {
                [(_, Item::Integer(number))] => Some(*number),
                _ => None,
            }
        };
        let same = Some;
        assert_eq!(of(b"\x17"), same(23));
        assert_eq!(of(b"\x18\x18"), same(24));
        assert_eq!(of(b"\x38\xff"), same(-256));
        assert_eq!(of(b"\x19\x01\x00"), same(256));
        assert_eq!(of(b"\x1a\x00\x01\x00\x00"), same(65_536));
        assert_eq!(of(b"\x1b\x7f\xff\xff\xff\xff\xff\xff\xff"), same(i64::MAX));
        assert_eq!(of(b"\x3b\x7f\xff\xff\xff\xff\xff\xff\xff"), same(i64::MIN));
        assert_eq!(of(b"\x1b\x80\x00\x00\x00\x00\x00\x00\x00"), None);
        assert_eq!(of(b"\x3b\x80\x00\x00\x00\x00\x00\x00\x00"), None);
    }

    #[test]
    fn what_is_not_canonical_or_not_whole_is_refused() {
        for bad in [
            &b""[..],
            b"\x80",                         // no map
            b"\xa1\x00",                     // a value is missing
            b"\xa1\x00\x42\x01",             // a string is cut off
            b"\xa1\x00\x00\x00",             // a byte follows
            b"\xa1\x00\x18\x17",             // longer than it must be, in each length
            b"\xa1\x00\x19\x00\xff",         //
            b"\xa1\x00\x1a\x00\x00\xff\xff", //
            b"\xa1\x00\x1b\x00\x00\x00\x00\xff\xff\xff\xff",
            b"\xb8\x01\x00\x00",             //
            b"\xa1\x00\x58\x01\x00",         //
            b"\xa2\x00\x00\x00\x00",         // a key twice
            b"\xa2\x01\x00\x00\x00",         // keys out of order
            b"\xa2\x20\x00\x00\x00",         //
            b"\xa2\x62aa\x00\x61b\x00",      // the shorter one comes first
            b"\xa1\x00\xa2\x01\x00\x00\x00", // likewise inside
            b"\xbf\x00\x00\xff",             // of indefinite length
            b"\xa1\x00\x5f\x41\x00\xff",     //
            b"\xa1\x00\xc0\x00",             // a tag
            b"\xa1\x00\xf9\x00\x00",         // a float
            b"\xa1\x00\xf7",                 // undefined
            b"\xa1\x00\xf8\x18",             // a simple value
            b"\xa1\x00\xf8\x14",             // false with a second byte
            b"\xa1\x00\x61\xff",             // no UTF-8
            b"\xa1\x00\x1c",                 // reserved
            b"\xa1\x00\x81\x81\x81\x81\x00", // too deep
            b"\xa1\x00\x9a\xff\xff\xff\xff", // too many
            b"\xa1\x00\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert_eq!(whole(bad), None, "{bad:x?}");
        }
        assert!(whole(b"\xa1\x00\x81\x81\x81\x00").is_some());
        let many = |count: u8| [&[0xa1, 0, 0x98, count][..], &vec![0; count.into()]].concat();
        assert!(whole(&many(32)).is_some());
        assert_eq!(whole(&many(33)), None);
    }
}
