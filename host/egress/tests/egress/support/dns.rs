//! A name server of our own on loopback, which answers as a test says.
//!
//! Writes its messages by hand, so that it can say what no honest server would.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;
const CODE_NAME_ERROR: u8 = 3;
const FLAG_TRUNCATED: u8 = 2;

/// One record of an answer.
#[derive(Clone, Debug)]
pub(crate) enum DnsRecord {
    /// The name that was asked for has this address.
    Address(IpAddr),
    /// Another name has this address.
    Foreign(&'static str, IpAddr),
    /// The first name is another name of the second; an empty first name is
    /// the one that was asked for.
    Alias(&'static str, &'static str),
}

/// What is said to one query.
#[derive(Clone, Debug)]
pub(crate) enum DnsAnswer {
    /// These records, each with a TTL of 0, as far as they are of the type
    /// that was asked for.
    Records(Vec<DnsRecord>),
    /// There is no such name.
    NoName,
    /// These records, of which the message says that it is cut (RFC 1035 section
    /// 4.2.1): whoever believes it asks again, by TCP.
    Truncated(Vec<DnsRecord>, ByTcp),
    /// These records, of which so many bytes are missing.
    Cut(Vec<DnsRecord>, usize),
    /// These records, which the message says are so many.
    Counted(Vec<DnsRecord>, u16),
    /// Nothing.
    Silence,
}

/// What is said by TCP to who was told that an answer is cut.
#[derive(Clone, Debug)]
pub(crate) enum ByTcp {
    /// Nothing: the connection is closed.
    Nothing,
    /// These records.
    Records(Vec<DnsRecord>),
    /// These records, of which so many bytes are missing when the connection is closed.
    Cut(Vec<DnsRecord>, usize),
    /// These records, of which so many bytes never come.
    Stalled(Vec<DnsRecord>, usize),
}

impl DnsAnswer {
    pub(crate) fn addresses<const N: usize>(addresses: [&str; N]) -> Self {
        let record = |text: &str| DnsRecord::Address(text.parse().unwrap());
        Self::Records(addresses.into_iter().map(record).collect())
    }
}

/// Listens on 127.0.0.1, by UDP and TCP, until it is dropped.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    asked: Asked,
    asked_by_tcp: Arc<AtomicUsize>,
    tasks: [JoinHandle<()>; 2],
}

/// Names and types that were asked for by UDP.
type Asked = Arc<Mutex<Vec<(String, u16)>>>;

impl NameServer {
    /// Says to the n-th query for the IPv4 addresses of a name what `answer`
    /// gives for `(name, n)`, and to queries for IPv6 addresses the same. Only
    /// those by UDP count.
    pub(crate) async fn answering(
        answer: impl Fn(&str, usize) -> DnsAnswer + Send + Sync + 'static,
    ) -> Self {
        let (udp, tcp) = bind().await;
        let address = udp.local_addr().unwrap();
        let (asked, asked_by_tcp) = (Asked::default(), Arc::new(AtomicUsize::new(0)));
        let answer = Arc::new(answer);
        let by_udp = serve_udp(udp, Arc::clone(&asked), Arc::clone(&answer));
        let by_tcp = serve_tcp(tcp, Arc::clone(&asked), Arc::clone(&asked_by_tcp), answer);
        Self {
            address,
            asked,
            asked_by_tcp,
            tasks: [tokio::spawn(by_udp), tokio::spawn(by_tcp)],
        }
    }

    /// How often the IPv4 addresses of a name were asked for.
    pub(crate) fn asked_for(&self, name: &str) -> usize {
        self.asked
            .lock()
            .iter()
            .filter(|(n, k)| n == name && *k == A)
            .count()
    }

    /// How many queries there were by UDP.
    pub(crate) fn queries(&self) -> usize {
        self.asked.lock().len()
    }

    /// How many queries there were by TCP.
    pub(crate) fn queries_by_tcp(&self) -> usize {
        self.asked_by_tcp.load(Ordering::SeqCst)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Two sockets with one port.
#[expect(clippy::disallowed_methods, reason = "the name server of the tests")]
async fn bind() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        // Somebody else may listen there by TCP.
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

async fn serve_udp(
    socket: UdpSocket,
    asked: Asked,
    answer: Arc<impl Fn(&str, usize) -> DnsAnswer>,
) {
    let mut buffer = [0; 1500];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let query = buffer.get(..length).unwrap();
        let (name, kind) = question(query);
        asked.lock().push((name.clone(), kind));
        let said = answer(&name, turn(&asked, &name, kind));
        if let Some(reply) = message(query, &name, kind, &said) {
            socket.send_to(&reply, from).await.unwrap();
        }
    }
}

/// How often a name was asked for.
fn turn(asked: &Asked, name: &str, kind: u16) -> usize {
    let asked = asked.lock();
    asked
        .iter()
        .filter(|(n, k)| n == name && *k == kind)
        .count()
}

async fn serve_tcp(
    listener: TcpListener,
    asked: Asked,
    asked_by_tcp: Arc<AtomicUsize>,
    answer: Arc<impl Fn(&str, usize) -> DnsAnswer + Send + Sync + 'static>,
) {
    while let Ok((mut tcp, _)) = listener.accept().await {
        let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
        let asked_by_tcp = Arc::clone(&asked_by_tcp);
        tokio::spawn(async move {
            while let Some(query) = next_query(&mut tcp).await {
                asked_by_tcp.fetch_add(1, Ordering::SeqCst);
                let (name, kind) = question(&query);
                let said = answer(&name, turn(&asked, &name, kind));
                let goes_on = say_by_tcp(&mut tcp, &query, &name, kind, said).await;
                if goes_on.is_none() {
                    return;
                }
            }
        });
    }
}

/// A query, behind its length in two bytes (RFC 1035 section 4.2.2).
async fn next_query(tcp: &mut TcpStream) -> Option<Vec<u8>> {
    let length = tcp.read_u16().await.ok()?;
    let mut query = vec![0; usize::from(length)];
    tcp.read_exact(&mut query).await.ok()?;
    Some(query)
}

/// `None` if the connection is to be closed.
async fn say_by_tcp(
    tcp: &mut TcpStream,
    query: &[u8],
    name: &str,
    kind: u16,
    said: DnsAnswer,
) -> Option<()> {
    let (said, missing, is_stalled) = match said {
        DnsAnswer::Truncated(_, ByTcp::Nothing) => return None,
        DnsAnswer::Truncated(_, ByTcp::Records(records)) => (DnsAnswer::Records(records), 0, false),
        DnsAnswer::Truncated(_, ByTcp::Cut(records, missing)) => {
            (DnsAnswer::Records(records), missing, false)
        }
        DnsAnswer::Truncated(_, ByTcp::Stalled(records, missing)) => {
            (DnsAnswer::Records(records), missing, true)
        }
        DnsAnswer::Records(_)
        | DnsAnswer::NoName
        | DnsAnswer::Cut(..)
        | DnsAnswer::Counted(..)
        | DnsAnswer::Silence => (said, 0, false),
    };
    let message = message(query, name, kind, &said)?;
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    let mut sent = [&length[..], &message[..]].concat();
    sent.truncate(sent.len() - missing);
    tcp.write_all(&sent).await.ok()?;
    if is_stalled {
        std::future::pending::<()>().await;
    }
    (missing == 0).then_some(())
}

/// Name and type of a message's one question, which begins at byte 12.
fn question(query: &[u8]) -> (String, u16) {
    let mut labels = Vec::new();
    let mut rest = query.get(12..).unwrap();
    while let Some((length @ 1.., after)) = rest.split_first() {
        let (label, after) = after.split_at(usize::from(*length));
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        rest = after;
    }
    let kind = rest.get(1..3).unwrap();
    (
        labels.join("."),
        u16::from_be_bytes(kind.try_into().unwrap()),
    )
}

fn message(query: &[u8], name: &str, kind: u16, answer: &DnsAnswer) -> Option<Vec<u8>> {
    let (records, code) = match answer {
        DnsAnswer::Records(records)
        | DnsAnswer::Truncated(records, _)
        | DnsAnswer::Cut(records, _)
        | DnsAnswer::Counted(records, _) => (written(records, name, kind), 0),
        DnsAnswer::NoName => (Vec::new(), CODE_NAME_ERROR),
        DnsAnswer::Silence => return None,
    };
    let (truncated, missing, more) = match answer {
        DnsAnswer::Truncated(..) => (FLAG_TRUNCATED, 0, None),
        DnsAnswer::Cut(_, missing) => (0, *missing, None),
        DnsAnswer::Counted(_, count) => (0, 0, Some(*count)),
        DnsAnswer::Records(_) | DnsAnswer::NoName | DnsAnswer::Silence => (0, 0, None),
    };
    let question_end = 12 + wire_name(name).len() + 4;
    let count = more.unwrap_or_else(|| u16::try_from(records.len()).unwrap());
    let count = count.to_be_bytes();
    let header = [
        &[0x81 | truncated, 0x80 | code, 0, 1],
        &count[..],
        &[0, 0, 0, 0],
    ]
    .concat();
    let parts = [
        query.get(..2).unwrap(),
        &header,
        query.get(12..question_end).unwrap(),
    ];
    let mut message = [parts.concat(), records.concat()].concat();
    message.truncate(message.len() - missing);
    Some(message)
}

fn written(records: &[DnsRecord], asked: &str, kind: u16) -> Vec<Vec<u8>> {
    let address = |name: &str, address: &IpAddr| {
        let (this, bytes) = match address {
            IpAddr::V4(v4) => (A, v4.octets().to_vec()),
            IpAddr::V6(v6) => (AAAA, v6.octets().to_vec()),
        };
        (this == kind).then(|| record(name, this, &bytes))
    };
    let one = |entry: &DnsRecord| match entry {
        DnsRecord::Address(ip) => address(asked, ip),
        DnsRecord::Foreign(name, ip) => address(name, ip),
        DnsRecord::Alias("", to) => Some(record(asked, CNAME, &wire_name(to))),
        DnsRecord::Alias(from, to) => Some(record(from, CNAME, &wire_name(to))),
    };
    records.iter().filter_map(one).collect()
}

fn record(name: &str, kind: u16, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap();
    let (kind, class_and_ttl) = (kind.to_be_bytes(), [0, 1, 0, 0, 0, 0]);
    [
        &wire_name(name),
        &kind[..],
        &class_and_ttl,
        &length.to_be_bytes(),
        content,
    ]
    .concat()
}

fn wire_name(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}
