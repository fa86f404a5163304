//! The answer to one query, worked out from one snapshot (RFC 1034 4.3.2, 4592, 6672, 7871).
//!
//! The same walk as `gslb.routing.answer`, link by link.  It decides nothing that is not in the
//! images: which members live, in what order and with what shares has been settled before.

use crate::choice::{client_key, stir};
use crate::entry::Family;
use crate::message::{
    CH, FORMERR, IN, NOERROR, NOTIMP, NXDOMAIN, Query, REFUSED, SERVFAIL, YXDOMAIN,
};
use crate::name;
use crate::said::{
    Address, From, LINKS_MAX, MAPPED_START, Made, Owner, Part, Records, Response, Scratch,
};
use crate::snapshot::{Served, Snapshot};
use crate::zone::{Found, How, RRset, Rdata, Zone, types};

const NOT_AUTHORITATIVE: (u16, &[u8]) = (20, b"not a zone of this server");
const INVALID_DATA: (u16, &[u8]) = (24, b"the zone's files are broken; see the server's status");
const STALE: (u16, &[u8]) = (3, b"restored: health is not known again yet");

const MINIMAL_ANY: &[u8] = b"\x07RFC8482\x00";
const ANY_TTL_S: u32 = 3600;
const TKEY: u16 = 249;
const TSIG: u16 = 250;
const MAILB: u16 = 253;
const MAILA: u16 = 254;

const NAMES_OF_THE_NODE: [&[u8]; 2] = [b"\x02id\x06server\x00", b"\x08hostname\x04bind\x00"];
const NAMES_OF_THE_PROGRAM: [&[u8]; 2] = [b"\x07version\x06server\x00", b"\x07version\x04bind\x00"];

/// Who counts as the client, and how much longer the scope is on the wire.
struct Asked {
    client: Address,
    bits_before: u8,
}

impl Asked {
    fn of(query: &Query, sender: Address) -> Asked {
        let subnet = query.edns.and_then(|edns| edns.subnet).filter(|subnet| subnet.source > 0);
        match subnet {
            None => Asked { client: sender, bits_before: 0 },
            Some(subnet) if subnet.family == 1 => {
                let client = Address { version: 4, number: subnet.address };
                Asked { client, bits_before: 0 }
            }
            Some(subnet) => {
                let client = Address::of_ipv6(subnet.address);
                Asked { client, bits_before: if client.version == 4 { 96 } else { 0 } }
            }
        }
    }
}

/// Who is to answer.
pub enum Told {
    /// This engine: what is said has been put down.
    Said,
    /// One that can explain: an explanation is asked for by someone who may have it.
    Explain,
}

/// Work out what is said to *query* from *sender*, and put it down in *said*.
pub fn answer<'s>(
    snapshot: &'s Snapshot,
    query: &Query,
    from: &From,
    scratch: &mut Scratch,
    said: &mut Response<'s>,
) -> Told {
    if let Some(wrong) = query.wrong {
        return refuse(said, wrong, None);
    }
    match query.type_ {
        _ if query.class == CH => return chaos(snapshot, query, from.sender, said),
        _ if query.class != IN => return refuse(said, REFUSED, None),
        types::AXFR | types::IXFR => return refuse(said, REFUSED, None),
        types::OPT => return refuse(said, FORMERR, None),
        TKEY | TSIG | MAILA | MAILB => return refuse(said, NOTIMP, None),
        _ => {}
    }
    let zone = match zone_for(snapshot, query) {
        None => return refuse(said, REFUSED, Some(NOT_AUTHORITATIVE)),
        Some(None) => return refuse(said, SERVFAIL, Some(INVALID_DATA)),
        Some(Some(zone)) => zone,
    };
    said.apex = zone.apex();
    let asked = Asked::of(query, from.sender);
    let (draw, now_s) = (from.draw, from.now_s);
    let mut walk = Walk { snapshot, zone, query, asked, draw, now_s, scratch, said };
    // Nothing stops a walk short but an image that contradicts itself.
    match walk.go() {
        Some(()) => Told::Said,
        None => refuse(said, SERVFAIL, None),
    }
}

fn refuse<'s>(said: &mut Response<'s>, rcode: u16, error: Option<(u16, &'s [u8])>) -> Told {
    *said = Response { rcode, error, ..Response::default() };
    Told::Said
}

/// The zone to answer from, None if it is broken; a DS is the parent's (RFC 4035 3.1.4.1).
fn zone_for<'s>(snapshot: &'s Snapshot, query: &Query) -> Option<Option<&'s Zone>> {
    let (length, zone) = snapshot.plan.zone_of(query.key())?;
    if query.type_ == types::DS
        && query.key().len() == length
        && let Some(above) = name::parent(query.key()).and_then(|name| snapshot.plan.zone_of(name))
    {
        return Some(above.1);
    }
    Some(zone)
}

struct Walk<'s, 'w> {
    snapshot: &'s Snapshot,
    zone: &'s Zone,
    query: &'w Query<'w>,
    asked: Asked,
    draw: u64,
    now_s: f64,
    scratch: &'w mut Scratch,
    said: &'w mut Response<'s>,
}

/// How a walk goes on: it has ended, or follows the name that was just put down.
enum Then {
    Done,
    Follow,
}

impl<'s> Walk<'s, '_> {
    /// Follow the name to its end; None is for images that contradict themselves.
    fn go(&mut self) -> Option<()> {
        self.scratch.names[0].set(&[self.query.key()])?;
        for link in 0..=LINKS_MAX {
            let found = self.zone.find(self.scratch.names[link].get())?;
            let owner = if link == 0 { Owner::Asked } else { Owner::Walked(link as u8) };
            if found.how == How::Nxdomain {
                return self.negative(NXDOMAIN, None);
            }
            if found.how == How::Referral && !self.is_for_parent(&found, link) {
                return self.refer(found);
            }
            if link == LINKS_MAX && self.is_link(&found)? {
                return self.done(NOERROR);
            }
            let then = match found.how {
                How::Dname => self.synthesize(&found, owner, link)?,
                _ => self.at_node(&found, owner, link)?,
            };
            if matches!(then, Then::Done) {
                return Some(());
            }
            let (before, rest) = self.scratch.names.split_at(link + 1);
            let next = rest[0].get();
            // What another zone holds is not this one's to deny, also when that zone is ours.
            let here = self.snapshot.plan.zone_of(next).map(|(length, _)| length);
            if before.iter().any(|name| name.get() == next)
                || here != Some(self.zone.apex().len())
                || !next.ends_with(self.zone.apex())
            {
                return self.done(NOERROR);
            }
        }
        None
    }

    fn is_for_parent(&self, found: &Found, link: usize) -> bool {
        self.query.type_ == types::DS && found.owner == self.scratch.names[link].get()
    }

    fn is_link(&self, found: &Found) -> Option<bool> {
        if found.node.is_service()
            && self.snapshot.served(found.owner)?.entry.family(types::CNAME).is_some()
        {
            return Some(true);
        }
        Some(found.how == How::Dname || found.node.rrset(types::CNAME).is_some())
    }

    /// Say what an existing name holds, or put down the name that it is an alias of.
    fn at_node(&mut self, found: &Found<'s>, owner: Owner<'s>, link: usize) -> Option<Then> {
        let (node, type_) = (&found.node, self.query.type_);
        if node.is_service() {
            let served = self.snapshot.served(found.owner)?;
            let family = served.entry.family(types::CNAME).or_else(|| served.entry.family(type_));
            if let Some(family) = family {
                return self.at_service(served, family, owner, link);
            }
        }
        if let Some(rrset) = node.rrset(types::CNAME) {
            self.say(owner, rrset);
            if type_ == types::CNAME || type_ == types::ANY {
                return self.done(NOERROR).map(|()| Then::Done);
            }
            let rdata = rrset.iter().next()?;
            return self.follow(&rdata, link);
        }
        if type_ == types::ANY && (node.has_rrsets() || node.is_service()) {
            let records = Records::One(MINIMAL_ANY);
            self.said.say(Part { owner, type_: types::HINFO, ttl_s: ANY_TTL_S, records });
            return self.done(NOERROR).map(|()| Then::Done);
        }
        match node.rrset(type_) {
            None => self.negative(NOERROR, None),
            Some(rrset) => {
                self.say(owner, rrset);
                self.done(NOERROR)
            }
        }
        .map(|()| Then::Done)
    }

    fn at_service(
        &mut self,
        served: &'s Served,
        family: Family,
        owner: Owner<'s>,
        link: usize,
    ) -> Option<Then> {
        let (entry, client) = (&served.entry, self.asked.client);
        let map = self.snapshot.plan.map(family.map)?;
        let (order, mut scope) = map.find(client.version, client.number);
        let choice = entry.choice(&family, order)?;
        if let Some((ipv4, ipv6)) = entry.sticky {
            scope = scope.max(sticky_scope(client, ipv4, ipv6));
        }
        self.said.scope = self.said.scope.max(scope.saturating_add(self.asked.bits_before));
        if self.said.service.is_none() {
            self.said.service = Some((served, choice.way));
        }
        let stale = self.snapshot.stale;
        self.said.error = self.said.error.or(choice.unusual).or(stale.then_some(STALE));
        if choice.is_servfail() {
            return self.done(SERVFAIL).map(|()| Then::Done);
        }
        let ttl_s = choice.ttl_s(self.now_s, stale);
        if choice.is_empty() {
            return self.negative(NOERROR, Some(ttl_s)).map(|()| Then::Done);
        }
        let picks = &mut self.scratch.picks;
        match entry.sticky {
            None => picks.pick(choice.upto, choice.answers, self.draw),
            Some((ipv4, ipv6)) => {
                let length = if client.version == 4 { ipv4 } else { ipv6 };
                let key = client_key(entry.key, client.version, client.number, length);
                picks.pick_sticky(choice.upto, choice.keys, choice.answers, key);
            }
        }
        if family.type_ != types::CNAME {
            self.said.choice = Some(choice);
            let records = Records::Picked;
            self.said.say(Part { owner, type_: family.type_, ttl_s, records });
            return self.done(NOERROR).map(|()| Then::Done);
        }
        // A service of host names: one record, and the walk may lead to another service.
        let rdata = choice.rdata(*picks.picked.first()?)?;
        self.target(&rdata, link)?;
        let records = Records::Alias(link as u8);
        self.said.say(Part { owner, type_: types::CNAME, ttl_s, records });
        if self.query.type_ == types::CNAME || self.query.type_ == types::ANY {
            return self.done(NOERROR).map(|()| Then::Done);
        }
        // The next service must not see the draw that chose its name among others.
        self.draw = stir(self.draw);
        self.follow(&rdata, link)
    }

    /// Put down where rdata leads, in lower case.
    fn follow(&mut self, rdata: &Rdata, link: usize) -> Option<Then> {
        let apex = self.zone.apex();
        let next = &mut self.scratch.names[link + 1];
        next.set_name(rdata, apex)?;
        next.lower();
        Some(Then::Follow)
    }

    /// Put down the target of a synthesized CNAME as it is answered.
    fn target(&mut self, rdata: &Rdata, link: usize) -> Option<()> {
        let target = self.scratch.targets.get_mut(link)?;
        target.set_name(rdata, self.zone.apex())
    }

    fn say(&mut self, owner: Owner<'s>, rrset: RRset<'s>) {
        let records = Records::Set(rrset);
        self.said.say(Part { owner, type_: rrset.type_, ttl_s: rrset.ttl_s, records });
    }

    /// Say a DNAME and its CNAME (RFC 6672), and put down the target, unless it is too long.
    fn synthesize(&mut self, found: &Found<'s>, owner: Owner<'s>, link: usize) -> Option<Then> {
        let dname = found.node.rrset(types::DNAME)?;
        let is_said = self.said.answer.iter().any(|part| match part.owner {
            Owner::Asked => false,
            Owner::Walked(number) => self.scratch.name(number) == found.owner,
            Owner::Named(name) => name == found.owner,
        });
        if !is_said {
            self.say(Owner::Named(found.owner), dname);
        }
        let rdata = dname.iter().next()?;
        let mut whole = Made::EMPTY;
        whole.set_name(&rdata, self.zone.apex())?;
        let qname = self.scratch.names[link].get();
        let labels = qname.get(..qname.len().checked_sub(found.owner.len())?)?;
        let target = self.scratch.targets.get_mut(link)?;
        if target.set(&[labels, whole.get()]).is_none() {
            return self.done(YXDOMAIN).map(|()| Then::Done);
        }
        let target = *target;
        let (ttl_s, records) = (dname.ttl_s, Records::Alias(link as u8));
        self.said.say(Part { owner, type_: types::CNAME, ttl_s, records });
        if self.query.type_ == types::CNAME {
            return self.done(NOERROR).map(|()| Then::Done);
        }
        self.follow(&Rdata::whole(target.get()), link)
    }

    fn refer(&mut self, found: Found<'s>) -> Option<()> {
        let servers = found.node.rrset(types::NS)?;
        let owner = Owner::Named(found.owner);
        let records = Records::Set(servers);
        let part = Part { owner, type_: types::NS, ttl_s: servers.ttl_s, records };
        self.said.authority = Some(part);
        self.said.referral = Some(found);
        let authoritative = !self.said.answer.is_empty();
        self.done(NOERROR)?;
        self.said.authoritative = authoritative;
        Some(())
    }

    fn negative(&mut self, rcode: u16, ttl_max_s: Option<u32>) -> Option<()> {
        let soa = self.zone.soa()?;
        let ttl_s = ttl_max_s.map_or(soa.ttl_s, |most| most.min(soa.ttl_s));
        let (owner, records) = (Owner::Named(self.zone.apex()), Records::Set(soa));
        self.said.authority = Some(Part { owner, type_: soa.type_, ttl_s, records });
        self.done(rcode)
    }

    fn done(&mut self, rcode: u16) -> Option<()> {
        self.said.rcode = rcode;
        self.said.authoritative = true;
        Some(())
    }
}

/// How long a prefix shares this client's key; IPv4's clients have others.
fn sticky_scope(client: Address, ipv4: u8, ipv6: u8) -> u8 {
    if client.version == 4 {
        return ipv4;
    }
    let beside_ipv4 = 1 + (client.number ^ MAPPED_START).leading_zeros() as u8;
    ipv6.max(beside_ipv4)
}

/// What is said in class CH: the node, the program, or a service's explanation.
fn chaos<'s>(
    snapshot: &'s Snapshot,
    query: &Query,
    sender: Address,
    said: &mut Response<'s>,
) -> Told {
    let facts = &snapshot.plan.facts;
    let is_text = matches!(query.type_, types::TXT | types::ANY);
    let text = if is_text && NAMES_OF_THE_NODE.contains(&query.key()) {
        &facts.node
    } else if is_text && NAMES_OF_THE_PROGRAM.contains(&query.key()) {
        &facts.program
    } else if is_text && facts.explain_to.iter().any(|net| net.holds(sender)) {
        return Told::Explain;
    } else {
        return refuse(said, REFUSED, None);
    };
    (said.authoritative, said.class) = (true, CH);
    let (owner, records) = (Owner::Asked, Records::One(text));
    said.say(Part { owner, type_: types::TXT, ttl_s: 0, records });
    Told::Said
}
