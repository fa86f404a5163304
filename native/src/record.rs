//! What one data record of an MMDB file says of a network (MaxMind DB file format 2.0).
//!
//! A record is decoded whole, so that a damaged one is refused wherever the damage is, but
//! only a place is taken from it: what `gslb.routing.mmdb.place_from` takes, and nothing else.
//! The limits on values, depth and payload of a record are those of the Python reader; `work`
//! is ours: pointers let a small file ask for hours.

/// A record or a tree that contradicts the format.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub struct Damaged(pub &'static str);

/// What the databases say of one network; `gslb.model.Place`.
#[derive(Debug, PartialEq, Clone, Copy, Default)]
pub struct Place {
    /// Latitude and longitude in degrees.
    pub location: Option<(f64, f64)>,
    /// Two upper-case letters.
    pub country: Option<[u8; 2]>,
    /// Two upper-case letters.
    pub continent: Option<[u8; 2]>,
    /// The number of the autonomous system.
    pub asn: Option<u32>,
}

/// The octets of a place in an image (`gslb.routing.places`).
pub const PLACE_BYTES: usize = 28;

impl Place {
    /// Return the place as it stands in an image.
    pub fn encoded(&self) -> [u8; PLACE_BYTES] {
        let (latitude, longitude) = self.location.unwrap_or_default();
        let said = u8::from(self.location.is_some())
            | u8::from(self.country.is_some()) << 1
            | u8::from(self.continent.is_some()) << 2
            | u8::from(self.asn.is_some()) << 3;
        let mut out = [0; PLACE_BYTES];
        out[..8].copy_from_slice(&latitude.to_ne_bytes());
        out[8..16].copy_from_slice(&longitude.to_ne_bytes());
        out[16..18].copy_from_slice(&self.country.unwrap_or_default());
        out[18..20].copy_from_slice(&self.continent.unwrap_or_default());
        out[20..24].copy_from_slice(&self.asn.unwrap_or_default().to_ne_bytes());
        out[24] = said;
        out
    }

    /// Return octets that two places share only if they are equal: -0.0 is 0.0 to a reader.
    pub fn key(&self) -> [u8; PLACE_BYTES] {
        let location = self.location.map(|(latitude, longitude)| (latitude + 0.0, longitude + 0.0));
        Place { location, ..*self }.encoded()
    }
}

const VALUES_MAX: usize = 1 << 16;
const DEPTH_MAX: usize = 512;
const PAYLOAD_MAX_BYTES: usize = 1 << 21;
const UINT_MAX_BYTES: usize = 16;
const WORK_MAX_PER_OCTET: u64 = 64;

/// A reader of the records of one file.
pub struct Records<'a> {
    octets: &'a [u8],
    data: usize,
    work_left: u64,
    values_left: usize,
    payload_left: usize,
    depth: usize,
}

/// Which map is being read, as far as a place is taken from it.
#[derive(Clone, Copy, PartialEq)]
enum Spot {
    Root,
    Location,
    Country,
    Registered,
    Continent,
    Elsewhere,
}

enum Value<'a> {
    Text(&'a [u8]),
    Whole(u128),
    Signed(i32),
    Real(f64),
    Container,
    Other,
}

/// What has been met so far; of a key that is met twice, the last counts.
#[derive(Default)]
struct Met {
    latitude: Option<f64>,
    longitude: Option<f64>,
    country: Option<[u8; 2]>,
    registered: Option<[u8; 2]>,
    continent: Option<[u8; 2]>,
    asn: Option<u32>,
}

type Read<T> = Result<T, Damaged>;

const ENDS: Damaged = Damaged("a data record ends early");
const TYPE: Damaged = Damaged("a data record has a value of an unknown type or size");
const LARGE: Damaged = Damaged("a data record is too large");

impl<'a> Records<'a> {
    /// Read the records of the file *octets*, whose data section begins at *data*.
    pub fn new(octets: &'a [u8], data: usize) -> Self {
        let work_left = (1 << 20) + WORK_MAX_PER_OCTET * octets.len() as u64;
        Records { octets, data, work_left, values_left: 0, payload_left: 0, depth: 0 }
    }

    /// Return what the record at the octet *at* of the file says.
    pub fn place(&mut self, at: usize) -> Read<Place> {
        self.values_left = VALUES_MAX - 1;
        self.payload_left = PAYLOAD_MAX_BYTES;
        self.depth = 0;
        let mut met = Met::default();
        self.value(at, Spot::Root, false, &mut met)?;
        Ok(Place {
            location: met.latitude.zip(met.longitude),
            country: met.country.or(met.registered),
            continent: met.continent,
            asn: met.asn,
        })
    }

    /// Decode the value at *at*; return it with where the next one begins.
    fn value(
        &mut self,
        at: usize,
        spot: Spot,
        pointed: bool,
        met: &mut Met,
    ) -> Read<(Value<'a>, usize)> {
        self.work(1)?;
        let control = self.octet(at)?;
        let mut next = at + 1;
        let mut kind = control >> 5;
        if kind == 0 {
            kind = self.octet(next)?.saturating_add(7);
            next += 1;
        }
        let mut size = (control & 0x1F) as usize;
        if kind == 1 {
            return if pointed { Err(TYPE) } else { self.pointer(size, next, spot, met) };
        }
        if size >= 29 {
            let width = size - 28;
            let more = self.exactly(next, width)?;
            let least = [29, 285, 65_821][width - 1];
            size = least + more.iter().fold(0, |sum, &octet| sum << 8 | octet as usize);
            next += width;
        }
        let end = next + size;
        let value = match kind {
            2 => {
                self.pay(size)?;
                let text = self.upto(next, size);
                std::str::from_utf8(text).map_err(|_| Damaged("a text that is not UTF-8"))?;
                Value::Text(text)
            }
            3 if size == 8 => {
                Value::Real(f64::from_be_bytes(self.exactly(next, 8)?.try_into().unwrap()))
            }
            4 => {
                self.pay(size)?;
                Value::Other
            }
            5 | 6 | 9 | 10 if size <= UINT_MAX_BYTES => Value::Whole(
                self.upto(next, size).iter().fold(0, |sum, &octet| sum << 8 | octet as u128),
            ),
            7 => return self.map(size, next, spot, met),
            8 if size < 4 => Value::Signed(
                self.upto(next, size).iter().fold(0, |sum, &octet| sum << 8 | octet as i32),
            ),
            8 if size == 4 => {
                Value::Signed(i32::from_be_bytes(self.exactly(next, 4)?.try_into().unwrap()))
            }
            11 => return self.array(size, next, met),
            14 => return Ok((Value::Other, next)),
            15 if size == 4 => {
                Value::Real(f32::from_be_bytes(self.exactly(next, 4)?.try_into().unwrap()) as f64)
            }
            _ => return Err(TYPE),
        };
        Ok((value, end))
    }

    fn pointer(
        &mut self,
        size: usize,
        at: usize,
        spot: Spot,
        met: &mut Met,
    ) -> Read<(Value<'a>, usize)> {
        let width = (size >> 3) + 1;
        let octets = self.exactly(at, width)?;
        let mut target = octets.iter().fold(0, |sum, &octet| sum << 8 | octet as usize);
        if width < 4 {
            target |= (size & 7) << (8 * width);
            target += [0, 2_048, 526_336][width - 1];
        }
        self.descend()?;
        let (value, _) = self.value(self.data + target, spot, true, met)?;
        self.depth -= 1;
        Ok((value, at + width))
    }

    fn map(
        &mut self,
        count: usize,
        mut at: usize,
        spot: Spot,
        met: &mut Met,
    ) -> Read<(Value<'a>, usize)> {
        self.values_left = self.values_left.checked_sub(2 * count).ok_or(LARGE)?;
        self.descend()?;
        for _ in 0..count {
            let (key, after) = self.value(at, Spot::Elsewhere, false, met)?;
            let key = match key {
                Value::Container => return Err(Damaged("a map has a key that is no scalar")),
                Value::Text(text) => text,
                _ => b"", // a key that nothing is taken by
            };
            let inside = met.entered(spot, key);
            let (value, after) = self.value(after, inside, false, met)?;
            met.take(spot, key, &value);
            at = after;
        }
        self.depth -= 1;
        Ok((Value::Container, at))
    }

    fn array(&mut self, count: usize, mut at: usize, met: &mut Met) -> Read<(Value<'a>, usize)> {
        self.values_left = self.values_left.checked_sub(count).ok_or(LARGE)?;
        self.descend()?;
        for _ in 0..count {
            (_, at) = self.value(at, Spot::Elsewhere, false, met)?;
        }
        self.depth -= 1;
        Ok((Value::Container, at))
    }

    fn descend(&mut self) -> Read<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            Err(Damaged("a data record is nested too deep"))
        } else {
            Ok(())
        }
    }

    fn pay(&mut self, size: usize) -> Read<()> {
        self.payload_left = self.payload_left.checked_sub(size).ok_or(LARGE)?;
        self.work(size as u64 / 8)
    }

    fn work(&mut self, amount: u64) -> Read<()> {
        const TOO_MUCH: Damaged = Damaged("the data records hold one another over and over");
        self.work_left = self.work_left.checked_sub(amount).ok_or(TOO_MUCH)?;
        Ok(())
    }

    fn octet(&self, at: usize) -> Read<u8> {
        self.octets.get(at).copied().ok_or(ENDS)
    }

    fn exactly(&self, at: usize, size: usize) -> Read<&'a [u8]> {
        self.octets.get(at..at.saturating_add(size)).ok_or(ENDS)
    }

    /// Return *size* octets from *at* on, or as many as there are: so does the Python reader.
    fn upto(&self, at: usize, size: usize) -> &'a [u8] {
        let length = self.octets.len();
        &self.octets[at.min(length)..at.saturating_add(size).min(length)]
    }
}

impl Met {
    /// Forget what an earlier value of the same key said; return which map its value may be.
    fn entered(&mut self, spot: Spot, key: &[u8]) -> Spot {
        if spot != Spot::Root {
            return Spot::Elsewhere;
        }
        match key {
            b"location" => {
                (self.latitude, self.longitude) = (None, None);
                Spot::Location
            }
            b"country" => {
                self.country = None;
                Spot::Country
            }
            b"registered_country" => {
                self.registered = None;
                Spot::Registered
            }
            b"continent" => {
                self.continent = None;
                Spot::Continent
            }
            _ => Spot::Elsewhere,
        }
    }

    fn take(&mut self, spot: Spot, key: &[u8], value: &Value) {
        match (spot, key) {
            (Spot::Root, b"autonomous_system_number") => self.asn = asn(value),
            (Spot::Location, b"latitude") => self.latitude = degrees(value, 90.0),
            (Spot::Location, b"longitude") => self.longitude = degrees(value, 180.0),
            (Spot::Country, b"iso_code") => self.country = code(value),
            (Spot::Registered, b"iso_code") => self.registered = code(value),
            (Spot::Continent, b"code") => self.continent = code(value),
            _ => {}
        }
    }
}

fn degrees(value: &Value, limit: f64) -> Option<f64> {
    let degrees = match *value {
        Value::Real(real) => real,
        Value::Signed(number) => number as f64,
        Value::Whole(number) => number as f64,
        _ => return None,
    };
    // NaN is within no limit.
    (degrees.abs() <= limit).then_some(degrees)
}

fn code(value: &Value) -> Option<[u8; 2]> {
    match *value {
        Value::Text(&[one, two]) if one.is_ascii_alphabetic() && two.is_ascii_alphabetic() => {
            Some([one.to_ascii_uppercase(), two.to_ascii_uppercase()])
        }
        _ => None,
    }
}

fn asn(value: &Value) -> Option<u32> {
    match *value {
        Value::Whole(number) => number.try_into().ok(),
        Value::Signed(number) => number.try_into().ok(),
        _ => None,
    }
}
