// SPDX-License-Identifier: LGPL-3.0-or-later

//! Every call against tests/api/mock_library.c, which checks what reaches it and gives known answers. Run by
//! tests/bindings/run, which links it: another library would not answer so.

use std::sync::mpsc::{channel, TryRecvError};
use std::time::Duration;
use windows_redirector::*;

const ID: u64 = 1 << 40;

fn builder() -> Builder {
    Redirector::builder()
        .root(1000)
        .root(2000)
        .agent_pid(500)
        .proxy_port(8080)
        .incoming_port(8081)
        .flags(Flags::FAIL_CLOSED | Flags::DESCENDANTS_ONLY)
        .rule(Rule::include("curl.exe"))
        .rule(Rule::exclude_pid(4711))
        .rule(Rule::exclude_listener("guard.exe"))
        .rule(
            Rule::new(Action::Block)
                .to_host("*.test")
                .protocol(Protocol::Udp)
                .direction(Direction::Outgoing)
                .to_network("2001:db8::".parse().unwrap(), 32)
                .to_ports(5000..=6000)
                .upstream(7),
        )
        .rule(
            Rule::new(Action::Redirect)
                .to_network("::ffff:10.0.0.0".parse().unwrap(), 104)
                .to_ports(443..=443)
                .protocol(Protocol::Tcp)
                .direction(Direction::Incoming),
        )
        .decision_timeout(Duration::from_secs(3))
        .listen_port(80)
        .listen_port(65535)
        .udp_port(5353)
        .udp_idle(Duration::from_secs(20))
        .windivert_dir("/some/where")
        .log_path("")
        .log(|_, _| ())
}

fn started() -> Redirector {
    builder().start().expect("the stand-in got what it expects")
}

#[test]
fn start_hands_everything_over_and_log_lines_arrive() {
    let (sender, lines) = channel();
    let redirector = builder().log(move |level, line| sender.send((level, line.to_owned())).unwrap()).start().unwrap();
    assert_eq!(lines.try_recv(), Ok((LogLevel::Info, "mock started".to_owned())));
    assert_eq!(redirector.log_panics(), 0);
    assert_eq!(redirector.notice(), None);
    drop(redirector);
    assert_eq!(lines.try_recv(), Err(TryRecvError::Disconnected), "the function lives no longer than the redirector");
}

#[test]
fn a_panic_of_the_log_function_stays_there_and_is_counted() {
    let redirector = builder().log(|_, _| panic!("on purpose")).start().unwrap();
    assert_eq!(redirector.log_panics(), 1);
}

#[test]
fn a_refusal_has_status_and_text() {
    let error = builder().proxy_port(1).start().unwrap_err();
    assert_eq!(error.status(), Status::InvalidArgument);
    assert_eq!(error.os_error(), None);
    assert!(error.to_string().contains("8080"), "{error}");
}

#[test]
fn what_c_could_not_take_is_refused() {
    let refused = |builder: Builder, text: &str| {
        let error = builder.start().unwrap_err();
        assert_eq!(error.status(), Status::InvalidArgument);
        assert!(error.to_string().contains(text), "{error}");
    };
    refused(builder().rule(Rule::include("a\0b")), "rule 5: its pattern contains a NUL");
    refused(builder().rule(Rule::exclude_listener("a\0b")), "rule 5: its listener contains a NUL");
    refused(builder().windivert_dir("a\0b"), "the folder of WinDivert.dll contains a NUL");
    refused(builder().log_path("a\0b"), "the log file's path contains a NUL");
    refused(builder().hold_timeout(Duration::MAX), "the hold timeout");
    // Not 0, which is the default: the stand-in refuses it because it wants 0.
    refused(builder().hold_timeout(Duration::from_nanos(1)), "hold_timeout_ms == 0");
    refused(builder().udp_idle(Duration::MAX), "the idle time of UDP");
    refused(builder().scan_interval(Duration::from_nanos(1)), "scan_interval_ms == 0");
}

#[test]
fn lookup() {
    let redirector = started();
    let found = |peer: &str| redirector.lookup(peer.parse().unwrap()).unwrap().unwrap();
    let four = Destination {
        address: "10.1.2.3:80".parse().unwrap(),
        pid: 1004,
        incoming: false,
        connection_id: ID | 4000,
        upstream: 11,
    };
    let six = Destination { address: "[fd00::7]:443".parse().unwrap(), incoming: true, ..four };
    assert_eq!(found("127.0.0.1:4000"), four);
    assert_eq!(found("[::ffff:127.0.0.1]:4000"), four);
    assert_eq!(found("[::1]:4000"), six);
    assert_eq!(found("[fe80::9%7]:4000").address, "[fe80::7%7]:443".parse().unwrap());
    assert_eq!(redirector.lookup(([127, 0, 0, 1], 1).into()), Ok(None));
    let error = redirector.lookup("10.0.0.1:4000".parse().unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "redirector_lookup: INVALID_ARGUMENT");
}

#[test]
fn lookup_udp_and_unreachable() {
    let redirector = started();
    let found = |peer: &str| redirector.lookup_udp(peer.parse().unwrap()).unwrap().unwrap().address;
    assert_eq!(found("127.0.0.1:4000"), "10.1.2.3:53".parse().unwrap());
    assert_eq!(found("[::1]:4000"), "[fd00::7]:53".parse().unwrap());
    assert_eq!(redirector.lookup_udp(([127, 0, 0, 1], 1).into()), Ok(None));
    assert_eq!(redirector.udp_unreachable(([127, 0, 0, 1], 5).into()), Ok(true));
    assert_eq!(redirector.udp_unreachable(([127, 0, 0, 1], 1).into()), Ok(false));
}

#[test]
fn forget_and_state() {
    let redirector = started();
    assert_eq!(redirector.state(), State::Running);
    assert_eq!(redirector.forget(([127, 0, 0, 1], 5).into()), Ok(true));
    assert_eq!(redirector.forget(([127, 0, 0, 1], 1).into()), Ok(false));
    assert_eq!(redirector.state(), State::Failed);
    let failure = redirector.failure().unwrap();
    assert_eq!((failure.status(), failure.os_error()), (Status::EngineStalled, Some(5)));
    assert_eq!(failure.to_string(), "the mock has failed");
    assert_eq!(redirector.limitation(), None);
    assert_eq!(redirector.stop(), Ok(()));
}

#[test]
fn what_limits_is_no_failure() {
    let redirector = started();
    assert_eq!(redirector.failure(), None);
    assert_eq!(redirector.limitation().as_deref(), Some("the mock has its limits"));
}

// R1, R3.
#[test]
fn rules() {
    let redirector = started();
    assert_eq!(redirector.set_rules(&[Rule::include_pid(7)]), Ok(()));
    assert_eq!(redirector.set_rules(&[]), Ok(()));
    let error = redirector.set_rules(&[Rule::exclude_pid(7)]).unwrap_err();
    assert_eq!(error.status(), Status::InvalidArgument);
    assert_eq!(error.to_string(), "the mock did not get the rule about process 7");
    let there = RuleCase::new("192.0.2.1:1".parse().unwrap());
    for (rule, text) in [
        (Rule::exclude("a\0b"), "rule 1: its pattern contains a NUL"),
        (Rule::exclude_listener("a\0b"), "rule 1: its listener contains a NUL"),
        (Rule::new(Action::Block).to_host("a\0b"), "rule 1: its host contains a NUL"),
        (Rule::new(Action::Block).to_ports(0..=0), "rule 1: its range of ports is that of port 0"),
        (Rule::new(Action::Block).to_network("::ffff:10.0.0.0".parse().unwrap(), 95), "rule 1: its network is neither"),
    ] {
        let rules = [Rule::include_pid(7), rule];
        for error in [redirector.set_rules(&rules).unwrap_err(), test_rules(&rules, &there).unwrap_err()] {
            assert!(error.to_string().starts_with(text), "{error}");
            assert_eq!(error.status(), Status::InvalidArgument);
        }
    }
}

#[test]
fn what_rules_say() {
    let there = RuleCase::new("192.0.2.1:1".parse().unwrap());
    assert_eq!(test_rules(&[], &there), Ok(Verdict { action: Action::Redirect, rule: None, upstream: 0 }));
    let connection = RuleCase {
        in_tree: false,
        pid: 9,
        protocol: Protocol::Udp,
        direction: Direction::Incoming,
        program: Some("c:\\a.exe".to_owned()),
        listener: Some("c:\\b.exe".to_owned()),
        host: Some("a.test".to_owned()),
        ..RuleCase::new("[2001:db8::1]:5500".parse().unwrap())
    };
    let wanted = Verdict { action: Action::Block, rule: Some(3), upstream: 11 };
    assert_eq!(test_rules(&[Rule::include_pid(7)], &connection), Ok(wanted));
    let error = test_rules(&[], &RuleCase { pid: 8, ..connection.clone() }).unwrap_err();
    assert!(error.to_string().contains("pid == 9"), "{error}");
    let error = test_rules(&[], &RuleCase { host: Some("a\0b".to_owned()), ..connection }).unwrap_err();
    assert!(error.to_string().starts_with("the connection's host contains a NUL"), "{error}");
}

#[test]
fn names() {
    let (redirector, there) = (started(), "192.0.2.1".parse().unwrap());
    assert_eq!(redirector.tell_name(there, "a.test"), Ok(()));
    assert_eq!(redirector.tell_name(there, "a.test."), Ok(()));
    for name in ["", ".", "a\0b", &"a".repeat(254)] {
        let error = redirector.tell_name(there, name).unwrap_err();
        assert!(error.to_string().starts_with("the name "), "{error}");
    }
    let error = redirector.tell_name("192.0.2.2".parse().unwrap(), "a.test").unwrap_err();
    assert_eq!(error.to_string(), "redirector_tell_name: INVALID_ARGUMENT");
}

#[test]
fn decisions() {
    let redirector = started();
    assert_eq!(redirector.next_connection(Duration::ZERO), Ok(None));
    let connection = redirector.next_connection(Duration::from_millis(100)).unwrap().unwrap();
    let wanted = Connection {
        id: 7 << 40 | 7,
        pid: 1004,
        client: "10.0.0.1:100".parse().unwrap(),
        destination: "10.0.0.2:200".parse().unwrap(),
        upstream: 12,
    };
    assert_eq!(connection, wanted);
    assert_eq!(redirector.decide(connection.id, Decision::Refuse), Ok(true));
    assert_eq!(redirector.decide(8, Decision::Refuse), Ok(false));
    assert!(redirector.decide(8, Decision::Pass).is_err());
}

#[test]
fn flows() {
    let mut flows = started().flows().unwrap();
    assert_eq!(flows.next().unwrap().protocol, Protocol::Tcp);
    assert_eq!(flows.len(), 39); // more than are asked for at first
    let wanted = Flow {
        pid: 1039,
        kind: FlowKind::Incoming,
        protocol: Protocol::Udp,
        state: FlowState::Opening,
        client: "10.0.0.1:139".parse().unwrap(),
        destination: "10.0.0.2:239".parse().unwrap(),
        peer: "[fe80::9%39]:339".parse().unwrap(),
        bytes_up: ID | 39,
        bytes_down: (2 * ID) | 39,
        packets_up: (3 * ID) | 39,
        packets_down: (4 * ID) | 39,
        opened: Duration::from_millis((5 * ID) | 39),
        age: Duration::from_millis((6 * ID) | 39),
    };
    assert_eq!(flows.last(), Some(wanted));
}

#[test]
fn stats_and_version() {
    let stats = started().stats();
    assert_eq!((stats.connections_blocked, stats.udp_packets_blocked), (65, 66));
    assert_eq!((stats.flows_live, stats.flows_total, stats.large_segments, stats.udp_uncaptured), (99, 1, 49, 64));
    assert_eq!(version(), env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_classic_calls() {
    use windows_redirector::classic::*;
    assert_eq!(start_redirector(1000, 500, 8080, 8081), Ok(()));
    let found = get_destination(4000).unwrap();
    assert_eq!((found.ip_version, found.dest_port, found.kernel_pid), (6, 443, 1004));
    assert_eq!(found.dest_ip6, [0x20010db8, 0, 0, 1]);
    free_windest(found);
    assert!(get_destination(1).is_none());
    assert!(delete_destination(4000) && !delete_destination(1));
    assert_eq!(stop_redirector(), Ok(()));
    let error = start_redirector(1, 0, 8080, 0).unwrap_err();
    assert_eq!((error.status(), error.os_error()), (Status::NoSuchProcess, Some(87)));
    assert_eq!(error.to_string(), "the mock knows process 1000 alone");
}

#[test]
fn it_may_be_used_by_all_threads() {
    fn is_shared<T: Send + Sync + 'static>() {}
    is_shared::<Redirector>();
    is_shared::<Error>();
}
