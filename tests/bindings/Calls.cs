// SPDX-License-Identifier: LGPL-3.0-or-later
//
// dotnet/WindowsRedirector.cs under mono: the layout of its structures and its numbers (argument "layout"), or every call
// against tests/api/mock_library.c, which checks what reaches it and gives known answers. Prints a line per check.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Net;
using System.Runtime.InteropServices;
using System.Threading;
using WindowsRedirector;

internal static class Calls
{
    private const ulong Id = 1ul << 40;

    private static void Check(bool condition, string name, object why = null)
    {
        Console.WriteLine(condition ? "ok .NET: " + name : "FAIL .NET: " + name + ": " + why);
    }

    private static void Layout()
    {
        foreach (var type in typeof(NativeMethods).GetNestedTypes(System.Reflection.BindingFlags.Public |
                                                                  System.Reflection.BindingFlags.NonPublic))
        {
            if (type.IsValueType)
            {
                Console.WriteLine("{0} . {1} 0", type.Name, Marshal.SizeOf(type));
                foreach (var field in type.GetFields())
                {
                    Console.WriteLine("{0} {1} {2} {3}", type.Name, field.Name, Marshal.OffsetOf(type, field.Name),
                                      Marshal.SizeOf(field.FieldType));
                }
                // Blittable: it can be pinned, so that nothing of it is converted or copied.
                GCHandle.Alloc(Activator.CreateInstance(type), GCHandleType.Pinned).Free();
            }
        }
        foreach (var type in new[] { typeof(RedirectorFlags), typeof(RedirectorLogLevel), typeof(RedirectorDecision),
                                     typeof(RedirectorState), typeof(RedirectorFlowKind), typeof(RedirectorFlowState),
                                     typeof(RedirectorProtocol), typeof(RedirectorRuleAction), typeof(RedirectorDirection) })
        {
            foreach (var value in Enum.GetValues(type))
            {
                Console.WriteLine("{0} {1} = {2}", type.Name, value, Convert.ToUInt32(value));
            }
        }
    }

    private static RedirectorConfig Config()
    {
        return new RedirectorConfig
        {
            Roots = { 1000, 2000 },
            AgentProcessId = 500,
            ProxyPort = 8080,
            IncomingPort = 8081,
            Flags = RedirectorFlags.FailClosed | RedirectorFlags.DescendantsOnly,
            Rules =
            {
                new RedirectorRule { Action = RedirectorRuleAction.Redirect, Pattern = "curl.exe" },
                new RedirectorRule { ProcessId = 4711 },
                new RedirectorRule { Listener = "guard.exe" },
                new RedirectorRule
                {
                    Action = RedirectorRuleAction.Block, Host = "*.test", Protocol = RedirectorProtocol.Udp,
                    Direction = RedirectorDirection.Outgoing, Network = IPAddress.Parse("2001:db8::"), PrefixLength = 32,
                    FirstPort = 5000, LastPort = 6000, Upstream = 7,
                },
                new RedirectorRule
                {
                    Action = RedirectorRuleAction.Redirect, Network = IPAddress.Parse("::ffff:10.0.0.0"), PrefixLength = 104,
                    FirstPort = 443, Protocol = RedirectorProtocol.Tcp, Direction = RedirectorDirection.Incoming,
                },
            },
            DecisionTimeout = TimeSpan.FromSeconds(3),
            ListenPorts = { 80, 65535 },
            UdpPort = 5353,
            UdpIdle = TimeSpan.FromSeconds(20),
            WinDivertFolder = "/some/where",
            LogPath = "",
            Log = (level, line) => { },
        };
    }

    private static void Refused<T>(string name, string text, Action<RedirectorConfig> spoil) where T : Exception
    {
        var config = Config();
        spoil(config);
        try
        {
            new Redirector(config).Dispose();
            Check(false, name, "it was not refused");
        }
        catch (T error)
        {
            Check(error.Message.Contains(text), name, error.Message);
        }
    }

    private static void CheckStart()
    {
        var lines = new List<string>();
        var config = Config();
        config.Log = (level, line) => lines.Add(level + " " + line);
        using (var redirector = new Redirector(config))
        {
            Check(string.Join("|", lines) == "Info mock started", "start hands everything over, and log lines arrive",
                  string.Join("|", lines));
            Check(redirector.LogExceptions == 0 && redirector.Notice == null, "nothing to notice");
        }
        config.Log = (level, line) => { throw new InvalidOperationException("on purpose"); };
        using (var redirector = new Redirector(config))
        {
            Check(redirector.LogExceptions == 1, "what the log function throws stays there, and is counted");
        }
        Refused<RedirectorException>("a refusal has a text", "proxy_port == 8080", c => c.ProxyPort = 1);
        Refused<ArgumentException>("a NUL character in a pattern", "NUL", c => c.Rules.Add(new RedirectorRule { Pattern = "a\0b" }));
        Refused<ArgumentException>("a NUL character in a path", "NUL", c => c.LogPath = "a\0b");
        Refused<ArgumentException>("a port that is none", "a port is", c => c.ProxyPort = 65536);
        Refused<ArgumentException>("a port of UDP that is none", "a port is", c => c.UdpPort = -1);
        Refused<ArgumentException>("a negative time", "negative", c => c.HoldTimeout = TimeSpan.FromSeconds(-1));
        // Not 0, which is the default: the stand-in refuses it because it wants 0.
        Refused<RedirectorException>("a time below a millisecond", "hold_timeout_ms == 0", c => c.HoldTimeout = new TimeSpan(1));
    }

    private static void CheckLookup(Redirector redirector)
    {
        Func<string, int, string> found = (host, port) =>
        {
            var where = redirector.Lookup(new IPEndPoint(IPAddress.Parse(host), port));
            return where == null ? "none" : where.Address + " " + where.ProcessId + " " + where.Incoming + " " + where.ConnectionId +
                " " + where.Upstream;
        };
        Check(found("127.0.0.1", 4000) == "10.1.2.3:80 1004 False " + (Id | 4000) + " 11", "lookup, IPv4", found("127.0.0.1", 4000));
        Check(found("::ffff:127.0.0.1", 4000) == found("127.0.0.1", 4000), "lookup, IPv4 as a dual-stack listener says it");
        Check(found("::1", 4000) == "[fd00::7]:443 1004 True " + (Id | 4000) + " 11", "lookup, IPv6", found("::1", 4000));
        Check(found("127.0.0.1", 1) == "none", "a stranger");
        Func<string, int, string> datagram = (host, port) =>
        {
            var where = redirector.LookupUdp(new IPEndPoint(IPAddress.Parse(host), port));
            return where == null ? "none" : where.Address.ToString();
        };
        Check(datagram("127.0.0.1", 4000) == "10.1.2.3:53" && datagram("::1", 4000) == "[fd00::7]:53" &&
              datagram("127.0.0.1", 1) == "none", "lookup of a UDP peer", datagram("127.0.0.1", 4000) + datagram("::1", 4000));
        Check(redirector.UdpUnreachable(new IPEndPoint(IPAddress.Loopback, 5)) &&
              !redirector.UdpUnreachable(new IPEndPoint(IPAddress.Loopback, 1)), "unreachable");
        var local = redirector.Lookup(new IPEndPoint(IPAddress.Parse("fe80::9%7"), 4000)).Address;
        Check(local.Address.ScopeId == 7, "lookup, the scope of a link-local address", local);
        try
        {
            found("10.0.0.1", 4000);
            Check(false, "a call that is refused throws");
        }
        catch (RedirectorException error)
        {
            Check(error.Message == "redirector_lookup: INVALID_ARGUMENT" && error.Status == 1 &&
                  error.StatusName == "INVALID_ARGUMENT", "a call that is refused throws", error.Message);
        }
    }

    private static string Said(Action call)
    {
        try
        {
            call();
            return "it was taken";
        }
        catch (Exception error)
        {
            return error.Message;
        }
    }

    // R1, R3.
    private static void CheckRules(Redirector redirector)
    {
        var seven = new[] { new RedirectorRule { Action = RedirectorRuleAction.Redirect, ProcessId = 7 } };
        var there = new RedirectorRuleCase { Address = new IPEndPoint(IPAddress.Parse("192.0.2.1"), 1) };
        redirector.SetRules(seven);
        redirector.SetRules(new RedirectorRule[0]);
        var said = Said(() => redirector.SetRules(new[] { new RedirectorRule { ProcessId = 7 } }));
        Check(said == "the mock did not get the rule about process 7", "new rules, and what the library says of them", said);
        var four = IPAddress.Parse("10.0.0.0");
        foreach (var wrong in new Dictionary<string, RedirectorRule>
        {
            { "its pattern contains a NUL", new RedirectorRule { Pattern = "a\0b" } },
            { "its listener contains a NUL", new RedirectorRule { Listener = "a\0b" } },
            { "its host contains a NUL", new RedirectorRule { Host = "a\0b" } },
            { "its first port is not 0 to 65535", new RedirectorRule { FirstPort = -1, LastPort = 1 } },
            { "its last port is not 0 to 65535", new RedirectorRule { FirstPort = 1, LastPort = 65536 } },
            { "its prefix length is not 0 to 32", new RedirectorRule { Network = four, PrefixLength = 33 } },
            { "its prefix length is not 0 to 128", new RedirectorRule { Network = IPAddress.IPv6Any, PrefixLength = -1 } },
            { "it has a prefix length, and no network", new RedirectorRule { PrefixLength = 0 } },
        })
        {
            var rules = new[] { seven[0], wrong.Value };
            said = Said(() => redirector.SetRules(rules)) + Said(() => Redirector.TestRules(rules, there));
            Check(said.StartsWith("rule 1: " + wrong.Key) && said.LastIndexOf("rule 1: " + wrong.Key) > 0,
                  "a rule that is not right: " + wrong.Key, said);
        }
        var verdict = Redirector.TestRules(seven, new RedirectorRuleCase
        {
            Address = new IPEndPoint(IPAddress.Parse("2001:db8::1"), 5500), InTree = false, ProcessId = 9,
            Protocol = RedirectorProtocol.Udp, Direction = RedirectorDirection.Incoming, Program = "c:\\a.exe",
            Listener = "c:\\b.exe", Host = "a.test",
        });
        Check(verdict.Action == RedirectorRuleAction.Block && verdict.Rule == 3 && verdict.Upstream == 11,
              "what a rule says of a connection");
        verdict = Redirector.TestRules(new RedirectorRule[0], there);
        Check(verdict.Action == RedirectorRuleAction.Redirect && verdict.Rule == null && verdict.Upstream == 0,
              "what the tree alone says of it");
        there.ProcessId = 8;
        there.Program = "c:\\a.exe";
        said = Said(() => Redirector.TestRules(seven, there));
        Check(said.StartsWith("the mock did not get"), "what the library says of it", said);
        Check(Said(() => Redirector.TestRules(seven, new RedirectorRuleCase())).Contains("no address"), "a connection to nowhere");
        redirector.TellName(IPAddress.Parse("192.0.2.1"), "a.test.");
        foreach (var name in new[] { "", ".", "a\0b", new string('a', 254) })
        {
            said = Said(() => redirector.TellName(IPAddress.Parse("192.0.2.1"), name));
            Check(said.Contains("name"), "no name: " + name.Replace("\0", "NUL").PadRight(5).Substring(0, 5), said);
        }
        said = Said(() => redirector.TellName(IPAddress.Loopback, "a.test"));
        Check(said == "redirector_tell_name: INVALID_ARGUMENT", "a name that the library refuses", said);
    }

    private static void CheckCalls(Redirector redirector)
    {
        Check(redirector.NextConnection(TimeSpan.Zero) == null, "no connection to decide about");
        var waits = redirector.NextConnection(TimeSpan.FromMilliseconds(100));
        Check(waits.Id == (7ul << 40 | 7) && waits.ProcessId == 1004 && waits.Client.ToString() == "10.0.0.1:100" &&
              waits.Destination.ToString() == "10.0.0.2:200" && waits.Upstream == 12, "a connection to decide about");
        Check(redirector.NextConnection(Timeout.InfiniteTimeSpan) == null, "to wait for as long as redirection lasts");
        Check(redirector.Decide(waits.Id, RedirectorDecision.Refuse) && !redirector.Decide(8, RedirectorDecision.Refuse),
              "a decision");
        Check(redirector.State == RedirectorState.Running && redirector.Failure == null, "no failure");
        Check(redirector.Forget(new IPEndPoint(IPAddress.Loopback, 5)) && !redirector.Forget(new IPEndPoint(IPAddress.Loopback, 1)),
              "forget");
        var failure = redirector.Failure;
        Check(redirector.State == RedirectorState.Failed && failure.Message == "the mock has failed" && failure.Status == 24 &&
              failure.OsError == 5, "failure");
        var flows = redirector.Flows();
        var last = flows[flows.Count - 1];
        Check(flows.Count == 40 && last.ProcessId == 1039 && last.Kind == RedirectorFlowKind.Incoming &&
              last.Protocol == RedirectorProtocol.Udp && flows[0].Protocol == RedirectorProtocol.Tcp &&
              last.State == RedirectorFlowState.Opening && last.Client.ToString() == "10.0.0.1:139" &&
              last.Destination.ToString() == "10.0.0.2:239" && last.Peer.Port == 339 && last.Peer.Address.ScopeId == 39 &&
              last.BytesUp == (Id | 39) && last.BytesDown == (2 * Id | 39) && last.PacketsUp == (3 * Id | 39) &&
              last.PacketsDown == (4 * Id | 39) && last.Age == TimeSpan.FromMilliseconds(6 * Id | 39), "the list of connections",
              flows.Count);
        var stats = redirector.Stats();
        Check(stats["flows_live"] == 99 && stats.Values.Skip(1).SequenceEqual(Enumerable.Range(1, 66).Select(n => (ulong)n)),
              "the counters", string.Join(" ", stats));
        redirector.Stop();
        Check(true, "stop");
    }

    private static void CheckClassic()
    {
        ClassicRedirector.Start(1000, 500, 8080, 8081);
        var found = ClassicRedirector.GetDestination(4000);
        Check(found.ip_version == 6 && found.dest_ip6_first == 0x20010db8 && found.dest_ip6_fourth == 1 &&
              found.dest_port == 443 && found.kernel_pid == 1004, "classic: a destination");
        Check(ClassicRedirector.GetDestination(1).ip_version == 0, "classic: a stranger");
        Check(ClassicRedirector.DeleteDestination(4000) && !ClassicRedirector.DeleteDestination(1), "classic: delete");
        ClassicRedirector.Stop();
        try
        {
            ClassicRedirector.Start(1, 0, 8080, 0);
            Check(false, "classic: a refusal", "it was none");
        }
        catch (RedirectorException error)
        {
            Check(error.Status == 4 && error.OsError == 87 && error.Message == "the mock knows process 1000 alone",
                  "classic: a refusal", error.Message);
        }
    }

    // The collector runs while the function is called.
    private static void CheckCollection()
    {
        var count = 0;
        for (int i = 0; i < 200; i++)
        {
            var config = Config();
            config.Log = (level, line) => { GC.Collect(); count++; };
            new Redirector(config).Dispose();
        }
        Check(count == 200, "the log function outlives collections", count);
        var disposed = new Redirector(Config());
        disposed.Dispose();
        disposed.Dispose();
        try
        {
            disposed.Stats();
            Check(false, "a call after Dispose() throws");
        }
        catch (ObjectDisposedException)
        {
            Check(true, "a call after Dispose() throws");
        }
    }

    private static void Main(string[] arguments)
    {
        if (arguments.Length > 0)
        {
            Layout();
            return;
        }
        CheckStart();
        using (var redirector = new Redirector(Config()))
        {
            CheckLookup(redirector);
            CheckRules(redirector);
            CheckCalls(redirector);
        }
        CheckClassic();
        CheckCollection();
        Check(Redirector.Version == Environment.GetEnvironmentVariable("WANTED_VERSION"), "version", Redirector.Version);
    }
}
