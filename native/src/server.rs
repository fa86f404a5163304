//! The threads that answer: one for each socket, each with memory of its own.
//!
//! A thread reads the snapshot once for each round of datagrams.  What it cannot answer itself
//! (explanations) it hands to whoever waits at the bell, through a queue of bounded length; when
//! that is full the query is dropped, so nobody who floods it keeps ordinary queries waiting.
//!
//! A snapshot that is replaced is not freed by the thread that lets go of it last, which could
//! take long, but kept until no thread has it, and freed by whoever publishes.

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle, sleep};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption, Cache};

use crate::choice::stir;
use crate::respond::{Guard, Reply, respond};
use crate::response::UDP_MAX;
use crate::said::{From, Scratch};
use crate::snapshot::Snapshot;
use crate::socket::{Back, Batch, Bell, Sharing, Socket, chance, go_first, monotonic_s};
use crate::tally::{LimitCounts, QueryCounts, bump};

/// Queries that may wait for an engine that can explain.
pub const HANDED_MAX: usize = 256;
/// More than a socket's buffer holds, unless it is filled as we read.
const ROUNDS_AT_CLOSE_MAX: usize = 256;
/// After an error that is not one datagram's, so that a broken socket does not take a whole core.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(1);

/// A query for another engine, with the way back.
pub struct Handed {
    /// The query as it came.
    pub wire: Vec<u8>,
    /// The way back.
    pub back: Back,
    /// The socket that it came in at.
    pub socket: Arc<Socket>,
}

/// What all threads share.
pub struct Shared {
    snapshot: ArcSwapOption<Snapshot>,
    guard: ArcSwap<Guard>,
    replaced: Mutex<Vec<Arc<Snapshot>>>,
    stopping: AtomicBool,
    clock_offset_s: f64,
    bell: Bell,
}

/// One thread's counts.
#[derive(Default)]
#[repr(align(64))]
pub struct Counts {
    /// Queries by type and response code.
    pub queries: QueryCounts,
    /// Answers above their rate.
    pub limited: LimitCounts,
    /// Datagrams that were not answered: no queries, or unsendable.
    pub dropped: AtomicU64,
    /// Queries that were handed on.
    pub handed: AtomicU64,
    /// Queries that found the queue full.
    pub refused: AtomicU64,
    /// Queries that met an error of ours.
    pub errors: AtomicU64,
}

/// The fast engine: its sockets, its threads, and what they answer from.
pub struct Server {
    shared: Arc<Shared>,
    sockets: Vec<Arc<Socket>>,
    counts: Vec<Arc<Counts>>,
    running: Vec<JoinHandle<()>>,
    handing: SyncSender<Handed>,
    handed: Mutex<Receiver<Handed>>,
}

impl Server {
    /// Make an engine that tells time as the monotonic clock plus an offset in seconds.
    pub fn new(clock_offset_s: f64) -> io::Result<Server> {
        let (handing, handed) = sync_channel(HANDED_MAX);
        let shared = Shared {
            snapshot: ArcSwapOption::empty(),
            guard: ArcSwap::default(),
            replaced: Mutex::default(),
            stopping: AtomicBool::new(false),
            clock_offset_s,
            bell: Bell::new()?,
        };
        Ok(Server {
            shared: Arc::new(shared),
            sockets: Vec::new(),
            counts: Vec::new(),
            running: Vec::new(),
            handing,
            handed: Mutex::new(handed),
        })
    }

    /// Bind *threads* sockets at an address; return where, with the port that port 0 became.
    pub fn bind(&mut self, address: SocketAddr, threads: usize) -> io::Result<SocketAddr> {
        // One alone shares its address with nobody.
        let sharing = if threads > 1 { Sharing::First } else { Sharing::Alone };
        let mut bound = vec![Arc::new(Socket::bind(address, sharing)?)];
        let local = bound[0].local;
        for _ in 1..threads {
            bound.push(Arc::new(Socket::bind(local, Sharing::Next)?));
        }
        self.sockets.append(&mut bound);
        Ok(local)
    }

    /// Let go of the sockets that were bound last at an address.
    pub fn unbind(&mut self, local: SocketAddr) {
        self.sockets.retain(|socket| socket.local != local);
    }

    /// How many sockets are bound, each with a thread and a number of its own.
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Whether no socket is bound.
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// Start answering.
    pub fn start(&mut self) -> io::Result<()> {
        for (number, socket) in self.sockets.iter().enumerate().skip(self.running.len()) {
            let counts = Arc::<Counts>::default();
            let thread = Thread {
                number,
                socket: socket.clone(),
                shared: self.shared.clone(),
                counts: counts.clone(),
                handing: self.handing.clone(),
                chance: chance()?,
                scratch: Scratch::default(),
            };
            self.counts.push(counts);
            let name = format!("gslb-dns-{number}");
            self.running.push(Builder::new().name(name).spawn(move || thread.run())?);
        }
        Ok(())
    }

    /// Serve another snapshot from the next round on; refuse an older one.
    pub fn publish(&self, snapshot: Arc<Snapshot>) -> bool {
        let Ok(mut replaced) = self.shared.replaced.lock() else {
            return false;
        };
        let served = self.shared.snapshot.load_full();
        if served.is_some_and(|served| served.generation >= snapshot.generation) {
            return false;
        }
        replaced.extend(self.shared.snapshot.swap(Some(snapshot)));
        drop(replaced);
        self.tidy();
        true
    }

    /// Free the snapshots that no thread answers from any longer.
    pub fn tidy(&self) {
        if let Ok(mut replaced) = self.shared.replaced.lock() {
            replaced.retain(|old| Arc::strong_count(old) > 1);
        }
    }

    /// Guard answers in another way from the next round on.
    pub fn guard(&self, guard: Arc<Guard>) {
        self.shared.guard.store(guard);
    }

    /// Take a query that was handed on, if there is one.
    pub fn take(&self) -> Option<Handed> {
        self.handed.lock().ok()?.try_recv().ok()
    }

    /// What rings when a query is handed on.
    pub fn bell(&self) -> &Bell {
        &self.shared.bell
    }

    /// The threads' counts.
    pub fn counts(&self) -> &[Arc<Counts>] {
        &self.counts
    }

    /// Answer what has come in, and stop.
    pub fn close(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        for socket in &self.sockets {
            socket.stop();
        }
        for thread in self.running.drain(..) {
            let _ = thread.join();
        }
        self.sockets.clear();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.close();
    }
}

struct Thread {
    number: usize,
    socket: Arc<Socket>,
    shared: Arc<Shared>,
    counts: Arc<Counts>,
    handing: SyncSender<Handed>,
    chance: u64,
    scratch: Scratch,
}

impl Thread {
    fn run(mut self) {
        go_first();
        let shared = self.shared.clone();
        let mut current = Cache::new(&shared.snapshot);
        let mut guard = Cache::new(&shared.guard);
        let mut batch = Batch::default();
        let mut rounds_left = ROUNDS_AT_CLOSE_MAX;
        loop {
            let got = match batch.receive(&self.socket) {
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Nothing came for a while: the snapshot below may be a new one all the same.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(_) => {
                    sleep(PAUSE_AFTER_ERROR);
                    0
                }
            };
            if shared.stopping.load(Ordering::Acquire) {
                rounds_left -= 1;
                if got == 0 || rounds_left == 0 {
                    return;
                }
            }
            let now_s = shared.clock_offset_s + monotonic_s();
            let guard = guard.load();
            if let Some(snapshot) = current.load() {
                for at in 0..got {
                    self.answer(snapshot, guard, &mut batch, at, now_s);
                }
                let unsent = batch.send(&self.socket, got);
                (0..unsent).for_each(|_| bump(&self.counts.dropped));
            }
        }
    }

    /// Answer one datagram of a round; one that makes us fail costs itself alone.
    fn answer(
        &mut self,
        snapshot: &Snapshot,
        guard: &Guard,
        batch: &mut Batch,
        at: usize,
        now_s: f64,
    ) {
        let (wire, back, out) = batch.at(at);
        let reply = || self.reply(snapshot, guard, wire, back, now_s, out);
        let outcome = catch_unwind(AssertUnwindSafe(reply));
        if outcome.is_err() {
            // Python answers it, or says what it was that nobody can.
            bump(&self.counts.errors);
            out.clear();
            self.hand(wire, back);
        }
    }

    #[inline]
    fn reply(
        &mut self,
        snapshot: &Snapshot,
        guard: &Guard,
        wire: &[u8],
        back: &Back,
        now_s: f64,
        out: &mut Vec<u8>,
    ) {
        out.clear();
        self.chance = self.chance.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let draw = stir(self.chance);
        let from = From { sender: back.sender(), draw, now_s, size_max: UDP_MAX };
        match respond(snapshot, guard, wire, &from, &mut self.scratch, out) {
            Reply::Silence(None) => bump(&self.counts.dropped),
            Reply::Silence(Some(kind)) => self.counts.limited.add(kind, false),
            Reply::Elsewhere => self.hand(wire, back),
            Reply::Said { type_, rcode, service, slipped } => {
                self.counts.queries.add(type_, rcode);
                if let Some(kind) = slipped {
                    self.counts.limited.add(kind, true);
                }
                if let Some((served, way)) = service {
                    served.tally.add(self.number, way);
                }
            }
        }
    }

    fn hand(&self, wire: &[u8], back: &Back) {
        let handed = Handed { wire: wire.to_vec(), back: *back, socket: self.socket.clone() };
        match self.handing.try_send(handed) {
            Ok(()) => {
                bump(&self.counts.handed);
                self.shared.bell.ring();
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                bump(&self.counts.refused);
            }
        }
    }
}
