//! What `gslb.config.zonecheck` would say something about: such zones are declined.

use super::Declined;
use super::name::{self, Lower};
use super::rdata::{CNAME, DNAME, NS, SOA};
use super::records::{ADDRESS, ALIAS, AUTHORITY, CANONICAL, OTHER, SERVED_BY, SERVICE, Sets};

// An rrset must fit a message beside a header, a question and an OPT record.
const RRSET_BYTES_MAX: usize = 64_000;
const APEX: u32 = 0;

fn decline_if(wrong: bool) -> Result<(), Declined> {
    if wrong { Err(Declined::WHOLE) } else { Ok(()) }
}

/// Decline what no server could answer from.
pub fn errors(sets: &Sets) -> Result<(), Declined> {
    decline_if(!sets.has(APEX, AUTHORITY) || !sets.has(APEX, SERVED_BY))?;
    for owner in 0..sets.owners() {
        let types = sets.rrsets(owner).count();
        let alone = |type_| sets.rrset(owner, type_).is_none_or(|rrset| rrset.len() == 1);
        let wildcard = name::is_wildcard(sets.name(owner));
        if sets.has(owner, AUTHORITY) {
            decline_if(owner != APEX || !alone(SOA))?;
        }
        if sets.has(owner, CANONICAL) {
            decline_if(types != 1 || !alone(CNAME))?;
        }
        if sets.has(owner, ALIAS) {
            decline_if(wildcard || !alone(DNAME))?;
            decline_if(owner != APEX && sets.has(owner, SERVED_BY))?;
        }
        decline_if(wildcard && sets.has(owner, SERVED_BY))?;
        for rrset in sets.rrsets(owner) {
            let size_bytes: usize = rrset.iter().map(|one| 12 + sets.rdata(one).len()).sum();
            decline_if(size_bytes > RRSET_BYTES_MAX)?;
        }
        if owner != APEX && sets.has(owner, SERVED_BY) {
            glue(sets, owner)?;
        }
    }
    Ok(())
}

/// Decline a cut with a server below it that has no address here.
fn glue(sets: &Sets, cut: u32) -> Result<(), Declined> {
    for record in sets.rrset(cut, NS).unwrap_or(&[]) {
        let server = Lower::of(sets.rdata(record));
        let below = name::is_within(&server, sets.name(cut));
        decline_if(below && !sets.is(&server, ADDRESS | SERVICE))?;
    }
    Ok(())
}

/// Decline what can be served, but is hardly meant.
pub fn warnings(sets: &Sets, apex: &[u8]) -> Result<(), Declined> {
    let doubled = Lower::below(&apex[..apex.len() - 1], apex);
    for owner in 0..sets.owners() {
        let stands = sets.rrsets(owner).next().is_some();
        decline_if(stands && apex.len() > 1 && name::is_within(sets.name(owner), &doubled))?;
        if sets.has(owner, SERVED_BY) {
            servers(sets, owner, apex)?;
        }
        if stands && let Some(bar) = topmost_bar(sets, sets.name(owner)) {
            decline_if(sets.has(bar, ALIAS) || sets.has(owner, OTHER))?;
        }
    }
    Ok(())
}

/// Decline name servers inside the zone, not below a cut, that lead nowhere.
fn servers(sets: &Sets, owner: u32, apex: &[u8]) -> Result<(), Declined> {
    for record in sets.rrset(owner, NS).unwrap_or(&[]) {
        let server = Lower::of(sets.rdata(record));
        let elsewhere = !name::is_within(&server, apex) || topmost_bar(sets, &server).is_some();
        if elsewhere || sets.is(&server, ADDRESS | SERVICE) {
            continue;
        }
        let barred = sets.find(&server).is_some_and(|id| is_barred(sets, id));
        decline_if(!(barred || by_wildcard(sets, &server, apex)))?;
    }
    Ok(())
}

fn by_wildcard(sets: &Sets, server: &[u8], apex: &[u8]) -> bool {
    let mut above = server;
    while above.len() > apex.len() {
        above = name::parent(above);
        if sets.is(&Lower::below(b"\x01*", above), ADDRESS | SERVICE) {
            return true;
        }
    }
    false
}

/// Return whether what is below an owner, which is not the apex, is not answered here.
fn is_barred(sets: &Sets, owner: u32) -> bool {
    owner != APEX && sets.has(owner, SERVED_BY | ALIAS)
}

/// Return the highest cut or DNAME above a name inside the zone, if there is one.
pub fn topmost_bar(sets: &Sets, name: &[u8]) -> Option<u32> {
    let apex_bytes = sets.name(APEX).len();
    let mut found = None;
    let mut above = name;
    while above.len() > apex_bytes {
        above = name::parent(above);
        if above.len() == apex_bytes {
            return if sets.has(APEX, ALIAS) { Some(APEX) } else { found };
        }
        found = sets.find(above).filter(|&owner| is_barred(sets, owner)).or(found);
    }
    found
}
