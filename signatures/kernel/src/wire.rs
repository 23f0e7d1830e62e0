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
