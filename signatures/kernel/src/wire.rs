//! Parses requests in place: finds where each signer and item lies, and copies nothing.
//!
//! Accepts and refuses exactly what Python's protobuf library (upb) does: unknown fields and known
//! ones of another wire type are skipped, the last of a scalar or of a oneof wins, messages that
//! come twice merge, groups nest at most a hundred deep, strings are UTF-8. The differential tests
//! compare the two.

/// The contract's limit. Signers and items past it are checked and counted, so that the caller
/// can refuse them by number, but not kept: two bytes on the wire must not cost forty in memory.
pub const MAX_ENTRIES: usize = 10_000;

/// How deep messages and groups may nest, the outermost message not counted (upb's default).
const MAX_DEPTH: u32 = 100;

/// The bytes are not a message of this type.
#[derive(Debug, PartialEq)]
pub struct Malformed;

/// A part of the request's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub fn of(self, data: &[u8]) -> &[u8] {
        &data[self.start as usize..self.end as usize]
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Source {
    #[default]
    Missing,
    PublicKey(Span),
    Certificate(Span),
    KeyVersion(Span),
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Payload {
    #[default]
    Missing,
    Message(Span),
    Digest(Span),
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Item {
    pub signer: u32,
    pub algorithm: i32,
    pub payload: Payload,
    pub signature: Span,
}

/// A BatchVerifyRequest, or a VerifyRequest as a batch of one.
#[derive(Debug, Default, PartialEq)]
pub struct Request {
    pub signers: Vec<Source>,
    pub items: Vec<Item>,
    pub signer_count: usize,
    pub item_count: usize,
    pub trust_policy: i32,
    /// Seconds and nanoseconds.
    pub at: Option<(i64, i32)>,
    /// A RequiredRole's bytes, not validated.
    pub required_role: Option<Vec<u8>>,
}

impl Request {
    /// Merges a further part of the message, which is to append its bytes.
    fn merge_required_role(&mut self, part: &[u8]) {
        self.required_role.get_or_insert_default().extend_from_slice(part);
    }
}

/// Parses a BatchVerifyRequest.
pub fn parse_batch(data: &[u8]) -> Result<Request, Malformed> {
    let mut request = Request::default();
    for_each_field(data, |field| {
        match (field.number, field.value) {
            (1, Value::Bytes(span)) => {
                let mut signer = Source::default();
                merge_signer(&mut signer, data, span)?;
                keep(&mut request.signers, &mut request.signer_count, signer);
            }
            (2, Value::Bytes(span)) => {
                let mut item = Item::default();
                merge_item(&mut item, data, span)?;
                keep(&mut request.items, &mut request.item_count, item);
            }
            (3, Value::Varint(value)) => request.trust_policy = value as i32,
            (4, Value::Bytes(span)) => merge_time(&mut request.at, data, span)?,
            (5, Value::Bytes(span)) => request.merge_required_role(span.of(data)),
            _ => {}
        }
        Ok(())
    })?;
    Ok(request)
}

/// Parses a VerifyRequest as a batch of one. The item's signer index is ignored.
pub fn parse_single(data: &[u8]) -> Result<Request, Malformed> {
    let (mut signer, mut item) = (None, None);
    let mut request = Request::default();
    for_each_field(data, |field| {
        match (field.number, field.value) {
            (1, Value::Bytes(span)) => merge_signer(signer.get_or_insert_default(), data, span)?,
            (2, Value::Bytes(span)) => merge_item(item.get_or_insert_default(), data, span)?,
            (3, Value::Varint(value)) => request.trust_policy = value as i32,
            (4, Value::Bytes(span)) => merge_time(&mut request.at, data, span)?,
            (5, Value::Bytes(span)) => request.merge_required_role(span.of(data)),
            _ => {}
        }
        Ok(())
    })?;
    request.signers = vec![signer.unwrap_or_default()];
    request.items = vec![Item { signer: 0, ..item.unwrap_or_default() }];
    (request.signer_count, request.item_count) = (1, 1);
    Ok(request)
}

fn keep<T>(kept: &mut Vec<T>, count: &mut usize, entry: T) {
    *count += 1;
    if kept.len() < MAX_ENTRIES {
        kept.push(entry);
    }
}

fn merge_signer(signer: &mut Source, data: &[u8], span: Span) -> Result<(), Malformed> {
    for_each_field_of(data, span, |field| {
        if let Value::Bytes(span) = field.value {
            match field.number {
                1 => *signer = Source::PublicKey(span),
                2 => *signer = Source::Certificate(span),
                3 => {
                    std::str::from_utf8(span.of(data)).map_err(|_| Malformed)?;
                    *signer = Source::KeyVersion(span);
                }
                _ => {}
            }
        }
        Ok(())
    })
}

fn merge_item(item: &mut Item, data: &[u8], span: Span) -> Result<(), Malformed> {
    for_each_field_of(data, span, |field| {
        match (field.number, field.value) {
            (1, Value::Varint(value)) => item.signer = value as u32,
            (2, Value::Varint(value)) => item.algorithm = value as i32,
            (3, Value::Bytes(span)) => item.payload = Payload::Message(span),
            (4, Value::Bytes(span)) => item.payload = Payload::Digest(span),
            (5, Value::Bytes(span)) => item.signature = span,
            _ => {}
        }
        Ok(())
    })
}

fn merge_time(at: &mut Option<(i64, i32)>, data: &[u8], span: Span) -> Result<(), Malformed> {
    let (seconds, nanos) = at.get_or_insert_default();
    for_each_field_of(data, span, |field| {
        match (field.number, field.value) {
            (1, Value::Varint(value)) => *seconds = value as i64,
            (2, Value::Varint(value)) => *nanos = value as i32,
            _ => {}
        }
        Ok(())
    })
}

struct Field {
    number: u32,
    value: Value,
}

enum Value {
    Varint(u64),
    Bytes(Span),
    /// Fixed-width numbers and groups: no field of ours is one.
    Other,
}

type Visit<'a> = &'a mut dyn FnMut(Field) -> Result<(), Malformed>;

fn for_each_field(
    data: &[u8],
    mut visit: impl FnMut(Field) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    // protobuf messages are shorter than 2 GiB, so that u32 suffices in a Span.
    let end = i32::try_from(data.len()).map_err(|_| Malformed)? as u32;
    walk(data, Span { start: 0, end }, MAX_DEPTH, &mut visit)
}

fn for_each_field_of(
    data: &[u8],
    span: Span,
    mut visit: impl FnMut(Field) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    walk(data, span, MAX_DEPTH - 1, &mut visit)
}

fn walk(data: &[u8], span: Span, depth: u32, visit: Visit) -> Result<(), Malformed> {
    let mut reader = Reader { data, position: span.start as usize, end: span.end as usize };
    while reader.position < reader.end {
        let (number, wire_type) = reader.tag()?;
        let value = reader.value(number, wire_type, depth)?;
        visit(Field { number, value })?;
    }
    Ok(())
}

struct Reader<'a> {
    data: &'a [u8],
    position: usize,
    end: usize,
}

impl Reader<'_> {
    fn tag(&mut self) -> Result<(u32, u32), Malformed> {
        let tag = u32::try_from(self.varint(5)?).map_err(|_| Malformed)?;
        if tag >> 3 == 0 { Err(Malformed) } else { Ok((tag >> 3, tag & 7)) }
    }

    fn value(&mut self, number: u32, wire_type: u32, depth: u32) -> Result<Value, Malformed> {
        match wire_type {
            0 => Ok(Value::Varint(self.varint(10)?)),
            1 => self.skip(8).map(|_| Value::Other),
            2 => {
                let length = i32::try_from(self.varint(5)?).map_err(|_| Malformed)?;
                Ok(Value::Bytes(self.skip(length as usize)?))
            }
            3 => self.group(number, depth).map(|()| Value::Other),
            5 => self.skip(4).map(|_| Value::Other),
            _ => Err(Malformed),
        }
    }

    /// Skips a group to its end tag.
    fn group(&mut self, number: u32, depth: u32) -> Result<(), Malformed> {
        let depth = depth.checked_sub(1).ok_or(Malformed)?;
        loop {
            match self.tag()? {
                (end, 4) if end == number => return Ok(()),
                (inner, wire_type) => self.value(inner, wire_type, depth)?,
            };
        }
    }

    fn skip(&mut self, length: usize) -> Result<Span, Malformed> {
        if length > self.end - self.position {
            return Err(Malformed);
        }
        let start = self.position;
        self.position += length;
        Ok(Span { start: start as u32, end: self.position as u32 })
    }

    /// Reads a varint of at most `max` bytes. Drops the bits past the 64th, as upb does.
    fn varint(&mut self, max: u32) -> Result<u64, Malformed> {
        let mut value = 0;
        for place in 0..max {
            let byte = *self.data[..self.end].get(self.position).ok_or(Malformed)?;
            self.position += 1;
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VARINT: u32 = 0;
    const FIXED64: u32 = 1;
    const BYTES: u32 = 2;
    const GROUP: u32 = 3;
    const END: u32 = 4;
    const FIXED32: u32 = 5;

    fn varint(mut value: u64) -> Vec<u8> {
        let mut encoded = Vec::new();
        while value >= 0x80 {
            encoded.push(value as u8 | 0x80);
            value >>= 7;
        }
        encoded.push(value as u8);
        encoded
    }

    fn tag(number: u32, wire_type: u32) -> Vec<u8> {
        varint(u64::from(number << 3 | wire_type))
    }

    fn number(field: u32, value: u64) -> Vec<u8> {
        [tag(field, VARINT), varint(value)].concat()
    }

    fn bytes(field: u32, contents: &[u8]) -> Vec<u8> {
        [tag(field, BYTES), varint(contents.len() as u64), contents.to_vec()].concat()
    }

    fn group(field: u32, contents: &[u8]) -> Vec<u8> {
        [tag(field, GROUP), contents.to_vec(), tag(field, END)].concat()
    }

    /// Groups in groups, so many.
    fn nested_groups(depth: u32) -> Vec<u8> {
        (0..depth).fold(Vec::new(), |inner, _| group(15, &inner))
    }

    /// The one signer of a batch with that signer.
    fn signer(contents: &[u8]) -> Result<(Vec<u8>, Source), Malformed> {
        let data = bytes(1, contents);
        parse_batch(&data).map(|request| (data, request.signers[0]))
    }

    fn item(contents: &[u8]) -> Result<(Vec<u8>, Item), Malformed> {
        let data = bytes(2, contents);
        parse_batch(&data).map(|request| (data, request.items[0]))
    }

    #[test]
    fn an_empty_request_has_nothing_set() {
        assert_eq!(parse_batch(b""), Ok(Request::default()));
        let single = parse_single(b"").unwrap();
        assert_eq!((single.signers, single.items), (vec![Source::Missing], vec![Item::default()]));
        assert_eq!((single.signer_count, single.item_count), (1, 1));
    }

    #[test]
    fn every_field_is_found_where_it_lies() {
        let contents = [number(1, 7), number(2, 16), bytes(3, b"message"), bytes(5, b"signature")];
        let data = [
            bytes(1, &bytes(1, b"key")),
            bytes(1, &bytes(2, b"certificate")),
            bytes(1, &bytes(3, "nūsqa".as_bytes())),
            bytes(2, &contents.concat()),
            bytes(2, &bytes(4, b"digest")),
            number(3, 2),
            bytes(4, &[number(1, 1_700_000_000), number(2, 5)].concat()),
            bytes(5, b"role"),
        ]
        .concat();
        let request = parse_batch(&data).unwrap();
        let found: Vec<_> = request
            .signers
            .iter()
            .map(|source| match source {
                Source::PublicKey(span) => (1, span.of(&data)),
                Source::Certificate(span) => (2, span.of(&data)),
                Source::KeyVersion(span) => (3, span.of(&data)),
                Source::Missing => (0, &[][..]),
            })
            .collect();
        assert_eq!(found, [(1, &b"key"[..]), (2, b"certificate"), (3, "nūsqa".as_bytes())]);
        let [first, second] = request.items[..] else { panic!("two items") };
        assert_eq!((first.signer, first.algorithm), (7, 16));
        assert_eq!(first.signature.of(&data), b"signature");
        assert!(matches!(first.payload, Payload::Message(span) if span.of(&data) == b"message"));
        assert!(matches!(second.payload, Payload::Digest(span) if span.of(&data) == b"digest"));
        assert_eq!((request.trust_policy, request.at), (2, Some((1_700_000_000, 5))));
        assert_eq!(request.required_role.as_deref(), Some(&b"role"[..]));
    }

    #[test]
    fn a_single_request_s_item_belongs_to_its_signer_whatever_index_it_has() {
        let data = [bytes(2, &number(1, 9)), bytes(1, &bytes(1, b"key"))].concat();
        let request = parse_single(&data).unwrap();
        assert_eq!(request.items[0].signer, 0);
        assert!(matches!(request.signers[0], Source::PublicKey(span) if span.of(&data) == b"key"));
    }

    #[test]
    fn the_last_of_a_scalar_and_of_a_oneof_wins() {
        let (_, found) = item(&[number(1, 3), number(1, 4)].concat()).unwrap();
        assert_eq!(found.signer, 4);
        let (data, found) = item(&[bytes(3, b"message"), bytes(4, b"digest")].concat()).unwrap();
        assert!(matches!(found.payload, Payload::Digest(span) if span.of(&data) == b"digest"));
        let (data, found) = signer(&[bytes(3, b"version"), bytes(1, b"key")].concat()).unwrap();
        assert!(matches!(found, Source::PublicKey(span) if span.of(&data) == b"key"));
    }

    #[test]
    fn messages_that_come_twice_are_merged() {
        let data = [
            bytes(1, &bytes(2, b"certificate")),
            bytes(2, &number(2, 1)),
            bytes(2, &bytes(3, b"message")),
            bytes(4, &number(1, 60)),
            bytes(4, &number(2, 70)),
            bytes(5, b"ro"),
            bytes(5, b"le"),
        ]
        .concat();
        let request = parse_single(&data).unwrap();
        assert_eq!(request.items[0].algorithm, 1);
        assert!(matches!(request.items[0].payload, Payload::Message(_)));
        assert_eq!(request.at, Some((60, 70)));
        assert_eq!(request.required_role.as_deref(), Some(&b"role"[..]));
    }

    #[test]
    fn numbers_keep_their_lowest_bits() {
        let (_, found) = item(&number(1, (1 << 32) + 5)).unwrap();
        assert_eq!(found.signer, 5);
        // Negative enums and seconds take ten bytes.
        assert_eq!(parse_batch(&number(3, u64::MAX)).unwrap().trust_policy, -1);
        let at = parse_batch(&bytes(4, &number(1, -5i64 as u64))).unwrap().at;
        assert_eq!(at, Some((-5, 0)));
    }

    #[test]
    fn varints_of_up_to_ten_bytes_are_read_padded_or_not() {
        let padded = [tag(3, VARINT), vec![0x81, 0x80, 0x80, 0x80, 0x00]].concat();
        assert_eq!(parse_batch(&padded).unwrap().trust_policy, 1);
        let ten = [tag(3, VARINT), vec![0x81; 9], vec![0x7f]].concat();
        assert!(parse_batch(&ten).is_ok());
        let eleven = [tag(3, VARINT), vec![0x81; 10], vec![0x00]].concat();
        assert_eq!(parse_batch(&eleven), Err(Malformed));
    }

    #[test]
    fn tags_and_lengths_take_at_most_five_bytes_and_fit_32_and_31_bits() {
        let padded = [vec![0x98, 0x80, 0x80, 0x80, 0x00], varint(1)].concat();
        assert_eq!(parse_batch(&padded).unwrap().trust_policy, 1);
        let six = [vec![0x98, 0x80, 0x80, 0x80, 0x80, 0x00], varint(1)].concat();
        assert_eq!(parse_batch(&six), Err(Malformed));
        let past_32_bits = [vec![0x98, 0x80, 0x80, 0x80, 0x10], varint(1)].concat();
        assert_eq!(parse_batch(&past_32_bits), Err(Malformed));
        let length_of = |digits: &[u8]| [&tag(9, BYTES), digits, &[7]].concat();
        assert!(parse_batch(&length_of(&[0x81, 0x80, 0x80, 0x80, 0x00])).is_ok());
        let six_again = length_of(&[0x81, 0x80, 0x80, 0x80, 0x80, 0x00]);
        assert_eq!(parse_batch(&six_again), Err(Malformed));
        assert_eq!(parse_batch(&length_of(&varint(1 << 31))), Err(Malformed));
    }

    #[test]
    fn unknown_fields_and_known_ones_of_another_wire_type_are_skipped() {
        let skipped = [
            number(99, 1),
            bytes(99, b"\xff\xff"),
            [tag(99, FIXED64), vec![1; 8]].concat(),
            [tag(99, FIXED32), vec![1; 4]].concat(),
            group(99, &bytes(1, b"\xff")),
            // Signers and items are messages, and the trust policy is a number.
            number(1, 5),
            [tag(2, FIXED32), vec![1; 4]].concat(),
            bytes(3, b"\xff"),
        ]
        .concat();
        assert_eq!(parse_batch(&skipped), Ok(Request::default()));
    }

    #[test]
    fn unknown_fields_are_checked_all_the_same() {
        for wrong in [
            // Field number 0, wire types 6 and 7, an end without a group.
            number(0, 1),
            bytes(0, b""),
            tag(99, 6),
            tag(99, 7),
            tag(99, END),
            // A group that does not end, or ends as another.
            tag(99, GROUP),
            [tag(99, GROUP), tag(98, END)].concat(),
            group(99, &tag(99, 7)),
        ] {
            assert_eq!(parse_batch(&wrong), Err(Malformed), "{wrong:x?}");
            assert_eq!(signer(&wrong), Err(Malformed), "{wrong:x?}");
            assert_eq!(item(&wrong), Err(Malformed), "{wrong:x?}");
        }
    }

    #[test]
    fn groups_nest_a_hundred_deep_the_messages_around_them_counted() {
        assert!(parse_batch(&nested_groups(100)).is_ok());
        assert_eq!(parse_batch(&nested_groups(101)), Err(Malformed));
        assert!(item(&nested_groups(99)).is_ok());
        assert_eq!(item(&nested_groups(100)), Err(Malformed));
    }

    #[test]
    fn a_request_cut_off_within_a_field_is_refused() {
        let contents = [number(1, 300), bytes(3, b"message"), bytes(5, b"signature")].concat();
        let data = [bytes(2, &contents), bytes(1, &bytes(1, b"key")), number(3, 300)].concat();
        let ends = [0, bytes(2, &contents).len(), data.len() - number(3, 300).len(), data.len()];
        for end in 0..=data.len() {
            assert_eq!(parse_batch(&data[..end]).is_ok(), ends.contains(&end), "{end}");
        }
    }

    #[test]
    fn a_field_may_not_reach_past_the_message_that_it_is_in() {
        // What follows the item would end its last field, and is a field of the request as well.
        let after = [number(9, 1), number(9, 1)].concat();
        for (last_field, enough) in [
            ([tag(5, BYTES), vec![5, 7]].concat(), bytes(5, &[7; 1])),
            ([tag(1, VARINT), vec![0x80]].concat(), number(1, 1)),
            (tag(9, GROUP), group(9, b"")),
        ] {
            assert_eq!(
                parse_batch(&[bytes(2, &last_field), after.clone()].concat()),
                Err(Malformed)
            );
            assert!(parse_batch(&[bytes(2, &enough), after.clone()].concat()).is_ok());
        }
        assert_eq!(parse_batch(&[bytes(2, &tag(9, GROUP)), tag(9, END)].concat()), Err(Malformed));
    }

    #[test]
    fn key_versions_are_utf_8_even_those_that_another_source_replaces() {
        assert_eq!(signer(&bytes(3, b"\xff")), Err(Malformed));
        assert_eq!(signer(&[bytes(3, b"\xff"), bytes(1, b"key")].concat()), Err(Malformed));
        assert!(signer(&bytes(1, b"\xff")).is_ok());
    }

    #[test]
    fn entries_past_the_limit_are_checked_and_counted_and_not_kept() {
        let mut data = [bytes(2, b""), bytes(1, b"")].concat().repeat(MAX_ENTRIES + 2);
        let request = parse_batch(&data).unwrap();
        assert_eq!((request.items.len(), request.signers.len()), (MAX_ENTRIES, MAX_ENTRIES));
        assert_eq!((request.item_count, request.signer_count), (MAX_ENTRIES + 2, MAX_ENTRIES + 2));
        data.extend(bytes(2, &tag(99, 7)));
        assert_eq!(parse_batch(&data), Err(Malformed));
    }
}
