//! Everything a query is answered from: a plan made from images, and the choices of its services.
//!
//! A `Plan` changes when a file does, a `Snapshot` when a verdict does.  A snapshot shares with
//! the one before it whatever did not change, and is only ever replaced whole.

use std::sync::Arc;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use crate::entry::Entry;
use crate::geo::GeoMap;
use crate::image::{Image, Kind, Octets, Refused};
use crate::name;
use crate::said::Address;
use crate::tally::Tally;
use crate::zone::Zone;

/// A network: IP version, number, and prefix length.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    version: u8,
    number: u128,
    length: u8,
}

impl Network {
    /// Whether an address lies in this network.
    pub fn holds(&self, address: Address) -> bool {
        let bits: u32 = if self.version == 4 { 32 } else { 128 };
        let left_out = bits.saturating_sub(u32::from(self.length));
        let differs = (self.number ^ address.number).checked_shr(left_out).unwrap_or(0);
        address.version == self.version && differs == 0
    }
}

/// What is said of the node itself, and which zones are broken.
#[derive(Default)]
pub struct Facts {
    /// The node's name as NSID says it.
    pub nsid: Vec<u8>,
    /// The node's name as a character-string.
    pub node: Vec<u8>,
    /// The program's name as a character-string.
    pub program: Vec<u8>,
    /// Who may ask for explanations.
    pub explain_to: Vec<Network>,
    broken: Vec<Vec<u8>>,
}

impl Facts {
    /// Check an image of facts.
    ///
    /// # Errors
    /// Says why it is refused.
    pub fn open(image: &Image) -> Result<Facts, Refused> {
        read_facts(&mut Octets::new(image.body(Kind::Facts)?)).ok_or(Refused::Malformed)
    }
}

fn read_facts(rest: &mut Octets) -> Option<Facts> {
    let mut facts = Facts {
        nsid: rest.short()?.to_vec(),
        node: character_string(rest.short()?),
        program: character_string(rest.short()?),
        ..Facts::default()
    };
    for _ in 0..rest.u32()? {
        facts.explain_to.push(read_network(rest)?);
    }
    for _ in 0..rest.u32()? {
        let apex = rest.short()?;
        if !name::is_name(apex) {
            return None;
        }
        facts.broken.push(apex.to_vec());
    }
    rest.rest().is_empty().then_some(facts)
}

/// Text as a TXT record holds it: with its length before it.
fn character_string(text: &[u8]) -> Vec<u8> {
    [&[text.len() as u8], text].concat()
}

/// Take a network: u8 IP version, u8 prefix length, 16 octets of the number, the last ones first.
pub fn read_network(rest: &mut Octets) -> Option<Network> {
    let (version, length) = (rest.u8()?, rest.u8()?);
    let number = u128::from_be_bytes(rest.take(16)?.try_into().ok()?);
    let bits = if version == 4 { 32 } else { 128 };
    (matches!(version, 4 | 6) && length <= bits).then_some(Network { version, number, length })
}

/// Where a name leads: a zone that is served, or one that is broken.
#[derive(Clone, Copy)]
enum Apex {
    Served(usize),
    Broken,
}

/// What the files say.
pub struct Plan {
    /// What is said of the node itself.
    pub facts: Facts,
    zones: Vec<Arc<Zone>>,
    apexes: HashMap<Vec<u8>, Apex, FxBuildHasher>,
    labels_max: usize,
    maps: Vec<Arc<GeoMap>>,
}

impl Plan {
    /// Put a plan together.
    pub fn new(facts: Facts, zones: Vec<Arc<Zone>>, maps: Vec<Arc<GeoMap>>) -> Plan {
        let mut apexes = HashMap::default();
        for apex in &facts.broken {
            apexes.insert(apex.clone(), Apex::Broken);
        }
        for (number, zone) in zones.iter().enumerate() {
            apexes.insert(zone.apex().to_vec(), Apex::Served(number));
        }
        let labels = apexes.keys().map(|apex| name::count_labels(apex));
        let labels_max = labels.max().unwrap_or(0);
        Plan { facts, zones, apexes, labels_max, maps }
    }

    /// The zone that a name lies in: its apex's length, and the zone, None if it is broken.
    #[inline]
    pub fn zone_of(&self, qname: &[u8]) -> Option<(usize, Option<&Zone>)> {
        let mut apex = qname;
        for _ in self.labels_max..name::count_labels(qname) {
            apex = name::parent(apex)?;
        }
        loop {
            match self.apexes.get(apex) {
                Some(Apex::Served(number)) => {
                    return Some((apex.len(), Some(&self.zones[*number])));
                }
                Some(Apex::Broken) => return Some((apex.len(), None)),
                None => apex = name::parent(apex)?,
            }
        }
    }

    /// A geo map by its number.
    #[inline]
    pub fn map(&self, number: usize) -> Option<&GeoMap> {
        self.maps.get(number).map(Arc::as_ref)
    }
}

/// A service's choices, and the numbers that count its answers.
pub struct Served {
    /// Its choices.
    pub entry: Entry,
    /// What is counted of it.
    pub tally: Arc<Tally>,
}

/// A plan and the choices of all its services.
pub struct Snapshot {
    /// What the files say.
    pub plan: Arc<Plan>,
    slots: Arc<HashMap<Vec<u8>, usize, FxBuildHasher>>,
    entries: Vec<Arc<Served>>,
    /// Its number: it only grows.
    pub generation: u64,
    /// Whether verdicts from before a restart are served.
    pub stale: bool,
}

impl Snapshot {
    /// Put a snapshot together from a plan and the entries of all its services.
    ///
    /// # Errors
    /// Refuses an entry whose geo map is not there, or has other orders.
    pub fn new(
        plan: Arc<Plan>,
        entries: Vec<Served>,
        generation: u64,
        stale: bool,
    ) -> Result<Snapshot, Refused> {
        let mut slots = HashMap::default();
        for (slot, served) in entries.iter().enumerate() {
            check(&plan, &served.entry)?;
            slots.insert(served.entry.name().to_vec(), slot);
        }
        let entries = entries.into_iter().map(Arc::new).collect();
        Ok(Snapshot { plan, slots: Arc::new(slots), entries, generation, stale })
    }

    /// The snapshot that follows this one, with other choices for some services.
    ///
    /// # Errors
    /// Refuses an entry of a service that is not there, or that does not fit its geo map.
    pub fn next(
        &self,
        changed: Vec<Entry>,
        generation: u64,
        stale: bool,
    ) -> Result<Snapshot, Refused> {
        let mut entries = self.entries.clone();
        for entry in changed {
            check(&self.plan, &entry)?;
            let slot = *self.slots.get(entry.name()).ok_or(Refused::Foreign)?;
            let tally = entries[slot].tally.clone();
            entries[slot] = Arc::new(Served { entry, tally });
        }
        let (plan, slots) = (self.plan.clone(), self.slots.clone());
        Ok(Snapshot { plan, slots, entries, generation, stale })
    }

    /// A service's choices, by its lower-case name.
    #[inline]
    pub fn served(&self, name: &[u8]) -> Option<&Served> {
        self.slots.get(name).map(|&slot| self.entries[slot].as_ref())
    }
}

fn check(plan: &Plan, entry: &Entry) -> Result<(), Refused> {
    let fits = |map: usize, orders| plan.map(map).is_some_and(|map| map.orders() == orders);
    match entry.families().all(|family| fits(family.map, family.orders)) {
        true => Ok(()),
        false => Err(Refused::Malformed),
    }
}
