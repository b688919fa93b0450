// SPDX-License-Identifier: LGPL-3.0-or-later
//
// windows-redirector for .NET: .NET Framework 4.x and .NET 6 or later, x64. Put this file into your project;
// windows_redirector.dll, WinDivert.dll and WinDivert64.sys belong beside your program, which needs administrator rights.
//
// It needs no unsafe code and no package. The structures in NativeMethods are those of windows_redirector.h, field by
// field, and hold nothing that .NET would have to convert: no bool, no string, no array.
using System;
using System.Collections.Generic;
using System.Globalization;
using System.Net;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace WindowsRedirector
{
    /// <summary>Switches of a configuration.</summary>
    [Flags]
    public enum RedirectorFlags : uint
    {
        None = 0,
        /// <summary>Stop does not reset the redirected connections; they then hang or break.</summary>
        KeepFlowsOnStop = 1u << 0,
        /// <summary>Redirects by swapped addresses instead of over loopback: the proxy must listen on all addresses.</summary>
        Reflect = 1u << 1,
        /// <summary>Connections are refused while nothing listens on the proxy's port, instead of passing.</summary>
        FailClosed = 1u << 2,
        /// <summary>The roots themselves are not redirected, only their descendants.</summary>
        DescendantsOnly = 1u << 3,
        /// <summary>Stop also has Windows unload the driver, if no other program uses it.</summary>
        UnloadDriver = 1u << 4,
        /// <summary>Connections within this machine are left alone.</summary>
        NoLoopback = 1u << 5,
        /// <summary>All TCP packets of the machine pass through the library at all times.</summary>
        CaptureAll = 1u << 6,
        /// <summary>No permit for packets that are sent on is put into the Windows filtering platform.</summary>
        NoFirewallPermit = 1u << 7,
        /// <summary>No connections of the library's own are made to prove that this machine can redirect.</summary>
        NoProof = 1u << 8,
        /// <summary>The right of Administrators to open any process is used.</summary>
        DebugPrivilege = 1u << 9,
        /// <summary>Connections keep the size of segments that programs ask for.</summary>
        SmallSegments = 1u << 10,
    }

    /// <summary>How much is logged; each level includes those before it. Default: that of the environment, else Info.</summary>
    public enum RedirectorLogLevel : uint { Default = 0, Off = 1, Error = 2, Warn = 3, Info = 4, Debug = 5 }

    /// <summary>What becomes of a connection that waits for a decision.</summary>
    public enum RedirectorDecision : uint { Accept = 1, Refuse = 2, Pass = 3, Drop = 4 }

    /// <summary>Whether a redirector still redirects.</summary>
    public enum RedirectorState : uint { Running = 1, Stopped = 2, Failed = 3 }

    /// <summary>Who opened a connection: the tree, or somebody who came to a listener of it.</summary>
    public enum RedirectorFlowKind : uint { Outgoing = 0, Incoming = 1 }

    /// <summary>What the two ends speak. A port of one is not a port of the other.</summary>
    public enum RedirectorProtocol : uint { Tcp = 6, Udp = 17 }

    /// <summary>What becomes of the connections that a rule matches: they go directly, go to the proxy, or are refused at once;
    /// blocked datagrams are dropped.</summary>
    public enum RedirectorRuleAction : uint { Pass = 0, Redirect = 1, Block = 2 }

    /// <summary>Which connections a rule is about: what a process opens, or what comes to a listener of it.</summary>
    public enum RedirectorDirection : uint { BothWays = 0, Outgoing = 1, Incoming = 2 }

    /// <summary>How far a connection is.</summary>
    public enum RedirectorFlowState : uint { Opening = 1, Open = 2, Closing = 3 }

    /// <summary>A call has failed. The message says what happened and what to do.</summary>
    public sealed class RedirectorException : Exception
    {
        /// <summary>The number of the status (REDIRECTOR_STATUS_LIST in the header), which never changes.</summary>
        public uint Status { get; private set; }
        /// <summary>The Windows error behind it, 0 if there is none.</summary>
        public uint OsError { get; private set; }
        /// <summary>The name of the status, for instance NO_SUCH_PROCESS.</summary>
        public string StatusName { get; private set; }

        internal RedirectorException(uint status, uint osError, string message) : base(message)
        {
            Status = status;
            OsError = osError;
            StatusName = NativeText.Read(NativeMethods.redirector_status_name(status));
        }
    }

    /// <summary>
    /// Whose connections, to where, and what becomes of them. All that a rule names must match, and the last rule that matches
    /// decides; where none does, the tree's connections are redirected, and all others pass. Rules apply to new connections
    /// only. A rule that names a process is about that process, of the tree or not; if it names nothing else, it says whether
    /// the process is in scope. A rule that names no process is about those in scope: the tree's, as the rules before it have it.
    /// </summary>
    public sealed class RedirectorRule
    {
        /// <summary>What becomes of what matches; Pass, if it is not set.</summary>
        public RedirectorRuleAction Action { get; set; }
        /// <summary>The process, if Pattern is null; 0: any.</summary>
        public uint ProcessId { get; set; }
        /// <summary>With a slash or backslash in it, matched against the full path, else against the file name; null: any.</summary>
        public string Pattern { get; set; }
        /// <summary>Only connections that reach a listener of this machine whose program matches this pattern.</summary>
        public string Listener { get; set; }
        /// <summary>A pattern of the other end's name, as Redirector.TellName() has told it; null: any, and none.</summary>
        public string Host { get; set; }
        /// <summary>What it speaks; null: either.</summary>
        public RedirectorProtocol? Protocol { get; set; }
        public RedirectorDirection Direction { get; set; }
        /// <summary>The address of the other end has its first PrefixLength bits in common with this one; null: any.</summary>
        public IPAddress Network { get; set; }
        /// <summary>0 to 32 or 128; null: all bits of Network.</summary>
        public int? PrefixLength { get; set; }
        /// <summary>The first port that it may go to; 0: any, if LastPort is 0, too.</summary>
        public int FirstPort { get; set; }
        /// <summary>The last one; 0: FirstPort alone.</summary>
        public int LastPort { get; set; }
        /// <summary>Any number of yours: RedirectorDestination.Upstream tells it of what this rule has redirected.</summary>
        public uint Upstream { get; set; }
    }

    /// <summary>A connection that rules are asked about: of TCP, and outgoing, if nothing else is set.</summary>
    public sealed class RedirectorRuleCase
    {
        /// <summary>Of the other end; its port is the one that the connection goes to.</summary>
        public IPEndPoint Address { get; set; }
        /// <summary>Its process belongs to the tree, as it does if nothing else is set.</summary>
        public bool InTree { get; set; }
        public uint ProcessId { get; set; }
        public RedirectorProtocol Protocol { get; set; }
        public RedirectorDirection Direction { get; set; }
        /// <summary>Path of its process' program.</summary>
        public string Program { get; set; }
        /// <summary>Path of the program that listens at the other end, on this machine.</summary>
        public string Listener { get; set; }
        /// <summary>The other end's name.</summary>
        public string Host { get; set; }

        public RedirectorRuleCase()
        {
            InTree = true;
            Protocol = RedirectorProtocol.Tcp;
            Direction = RedirectorDirection.Outgoing;
        }
    }

    /// <summary>What rules say of a connection.</summary>
    public sealed class RedirectorVerdict
    {
        public RedirectorRuleAction Action { get; internal set; }
        /// <summary>Index of the rule that has decided; null: the tree alone.</summary>
        public int? Rule { get; internal set; }
        /// <summary>Of that rule.</summary>
        public uint Upstream { get; internal set; }
    }

    /// <summary>What to redirect and how. A root and one of the ports are needed; all else has a sensible default.</summary>
    public sealed class RedirectorConfig
    {
        /// <summary>Roots of the process tree, which must exist. This process may be one: then whatever it starts is redirected,
        /// and not itself.</summary>
        public IList<uint> Roots { get; private set; }
        /// <summary>The process that runs the proxy; 0: this process.</summary>
        public uint AgentProcessId { get; set; }
        /// <summary>The port of 127.0.0.1 and [::1] on which the proxy accepts what the tree opens; 0: none.</summary>
        public int ProxyPort { get; set; }
        /// <summary>The port on which the proxy accepts connections to the tree's own listeners; 0: none.</summary>
        public int IncomingPort { get; set; }
        /// <summary>The port of 127.0.0.1 and [::1] on which the proxy receives the datagrams of the tree; 0: UDP is left alone.
        /// </summary>
        public int UdpPort { get; set; }
        /// <summary>A UDP flow ends when nothing has come of it for so long, 1 s to 1 h; zero: a minute.</summary>
        public TimeSpan UdpIdle { get; set; }
        public RedirectorFlags Flags { get; set; }
        public IList<RedirectorRule> Rules { get; private set; }
        /// <summary>Addresses of this machine to which the proxy connects, such as those of a proxy that it goes on through.</summary>
        public IList<IPEndPoint> Upstreams { get; private set; }
        /// <summary>Local ports whose listeners count as the tree's whoever owns them (http.sys).</summary>
        public IList<int> ListenPorts { get; private set; }
        /// <summary>How long each outgoing connection waits for Decide() at most, up to a minute; zero: not at all.</summary>
        public TimeSpan DecisionTimeout { get; set; }
        /// <summary>How long a SYN is held until its owner is known, up to 1 s; zero: 50 ms.</summary>
        public TimeSpan HoldTimeout { get; set; }
        /// <summary>How often connections that no longer exist are searched for, 100 ms to 10 min; zero: 30 s.</summary>
        public TimeSpan ScanInterval { get; set; }
        /// <summary>The folder of WinDivert.dll, absolute; null: that of the running program.</summary>
        public string WinDivertFolder { get; set; }
        /// <summary>The log file; "": none; null: that of WINDOWS_REDIRECTOR_LOG, else windows_redirector.log here.</summary>
        public string LogPath { get; set; }
        public RedirectorLogLevel LogLevel { get; set; }
        /// <summary>Also receives each log line, on a thread of the library. It must not stop or dispose of the redirector. What
        /// it throws is counted (Redirector.LogExceptions) and goes no further.</summary>
        public Action<RedirectorLogLevel, string> Log { get; set; }

        public RedirectorConfig()
        {
            Roots = new List<uint>();
            Rules = new List<RedirectorRule>();
            Upstreams = new List<IPEndPoint>();
            ListenPorts = new List<int>();
        }
    }

    /// <summary>Where a redirected connection, or datagram, was going.</summary>
    public sealed class RedirectorDestination
    {
        public IPEndPoint Address { get; internal set; }
        /// <summary>Process that opened the connection, or owns the listener (incoming).</summary>
        public uint ProcessId { get; internal set; }
        /// <summary>It came to a listener of the tree; false: the tree opened it.</summary>
        public bool Incoming { get; internal set; }
        /// <summary>What NextConnection() called it; 0: it was not asked about.</summary>
        public ulong ConnectionId { get; internal set; }
        /// <summary>Of the rule that has redirected it; 0: none has.</summary>
        public uint Upstream { get; internal set; }
    }

    /// <summary>An outgoing connection that waits for Decide().</summary>
    public sealed class RedirectorConnection
    {
        public ulong Id { get; internal set; }
        public uint ProcessId { get; internal set; }
        public IPEndPoint Client { get; internal set; }
        public IPEndPoint Destination { get; internal set; }
        /// <summary>Of the rule that has it redirected; 0: none has.</summary>
        public uint Upstream { get; internal set; }
    }

    /// <summary>A redirected connection that exists now, or a UDP flow: what one socket sends to one destination, and the answers.
    /// "Up" is from the end that opened it to the end that accepted it.</summary>
    public sealed class RedirectorFlow
    {
        public uint ProcessId { get; internal set; }
        public RedirectorFlowKind Kind { get; internal set; }
        public RedirectorProtocol Protocol { get; internal set; }
        public RedirectorFlowState State { get; internal set; }
        public IPEndPoint Client { get; internal set; }
        public IPEndPoint Destination { get; internal set; }
        /// <summary>The peer that the proxy sees, as Lookup(), or with UDP LookupUdp(), takes it.</summary>
        public IPEndPoint Peer { get; internal set; }
        public ulong BytesUp { get; internal set; }
        public ulong BytesDown { get; internal set; }
        public ulong PacketsUp { get; internal set; }
        public ulong PacketsDown { get; internal set; }
        public DateTime OpenedUtc { get; internal set; }
        public TimeSpan Age { get; internal set; }
    }

    /// <summary>Redirects, until it is stopped or disposed of. Every call may be made from any thread.</summary>
    public sealed class Redirector : IDisposable
    {
        private const int FirstFlows = 32;
        private readonly RedirectorHandle handle;
        private readonly LogReceiver log;

        /// <summary>What start had to say although it succeeded: where the log is, if it could not be written here.</summary>
        public string Notice { get; private set; }

        /// <summary>How often the configuration's Log has thrown.</summary>
        public long LogExceptions { get { return log == null ? 0 : log.Exceptions; } }

        /// <summary>The version of the library that is running.</summary>
        public static string Version { get { return NativeText.Read(NativeMethods.redirector_version()); } }

        /// <summary>Starts redirecting. Blocks while Windows loads the driver, and for half a second at most beyond that.</summary>
        public Redirector(RedirectorConfig config)
        {
            if (config == null)
            {
                throw new ArgumentNullException("config");
            }
            if (IntPtr.Size != 8)
            {
                throw new PlatformNotSupportedException("windows_redirector.dll is for x64: build the program for x64, or " +
                                                        "without \"Prefer 32-bit\"");
            }
            log = config.Log == null ? null : new LogReceiver(config.Log);
            try
            {
                handle = Start(config);
            }
            catch
            {
                Forget();
                throw;
            }
        }

        private RedirectorHandle Start(RedirectorConfig config)
        {
            using (var memory = new NativeMemory())
            {
                var c = memory.Config(config);
                if (log != null)
                {
                    c.log_fn = LogReceiver.Function;
                    c.log_context = log.Context;
                }
                var error = memory.Error();
                IntPtr created;
                uint status = NativeMethods.redirector_start(ref c, out created, error);
                if (status != 0)
                {
                    throw NativeMemory.Exception(status, error);
                }
                Notice = NativeMemory.OsErrorOf(error) == 0 ? null : NativeMemory.TextOf(error);
                return new RedirectorHandle(created);
            }
        }

        private void Forget()
        {
            if (log != null)
            {
                log.Dispose();
            }
        }

        /// <summary>Stops: redirected connections are reset at both ends (unless KeepFlowsOnStop). Statistics stay. Blocks for at
        /// most 1 s. If it throws, the engine did not end in time, and traffic flows all the same.</summary>
        public void Stop()
        {
            Check("redirector_stop", NativeMethods.redirector_stop(handle));
        }

        /// <summary>Stops it, if it was not stopped, and frees it.</summary>
        public void Dispose()
        {
            handle.Dispose();
            Forget();
        }

        /// <summary>Whether it still redirects.</summary>
        public RedirectorState State
        {
            get { return (RedirectorState)NativeMethods.redirector_get_state(handle, IntPtr.Zero); }
        }

        /// <summary>Why redirection has ended by itself, also after a stop; null: it has not.</summary>
        public RedirectorException Failure
        {
            get
            {
                using (var memory = new NativeMemory())
                {
                    var error = memory.Error();
                    NativeMethods.redirector_get_state(handle, error);
                    uint status = NativeMemory.StatusOf(error);
                    return status == 0 ? null : NativeMemory.Exception(status, error);
                }
            }
        }

        /// <summary>Where a connection was going, by its peer as the proxy sees it (Socket.RemoteEndPoint); null: it is not a
        /// redirected one, or has ended. With an unspecified address (IPAddress.Any) family and port alone are compared.</summary>
        public RedirectorDestination Lookup(IPEndPoint peer)
        {
            return Lookup(RedirectorProtocol.Tcp, peer);
        }

        /// <summary>Where a datagram was going, by the address that it came from (Socket.ReceiveFrom, UdpClient.Receive); null: no
        /// program of the tree has sent it, or its flow has ended. What is sent to that address reaches the program as from there.
        /// </summary>
        public RedirectorDestination LookupUdp(IPEndPoint peer)
        {
            return Lookup(RedirectorProtocol.Udp, peer);
        }

        /// <summary>Tells the program that sent datagrams from this peer that nobody listens at their destination, as from there;
        /// false: no UDP flow has this peer. Blocks for milliseconds, at most 1 s.</summary>
        public bool UdpUnreachable(IPEndPoint peer)
        {
            var address = NativeMemory.Address(peer);
            return Found("redirector_udp_unreachable", NativeMethods.redirector_udp_unreachable(handle, ref address));
        }

        private RedirectorDestination Lookup(RedirectorProtocol protocol, IPEndPoint peer)
        {
            var address = NativeMemory.Address(peer);
            var c = new NativeMethods.redirector_destination();
            c.size = NativeMemory.SizeOf(c);
            c.protocol = (uint)protocol;
            if (!Found("redirector_lookup", NativeMethods.redirector_lookup(handle, ref address, ref c)))
            {
                return null;
            }
            return new RedirectorDestination
            {
                Address = NativeMemory.EndPoint(c.destination),
                ProcessId = c.pid,
                Incoming = c.incoming != 0,
                ConnectionId = c.connection_id,
                Upstream = c.upstream,
            };
        }

        /// <summary>Removes the mapping of a peer for good; false: there was none. The connection itself goes on.</summary>
        public bool Forget(IPEndPoint peer)
        {
            var address = NativeMemory.Address(peer);
            return Found("redirector_forget", NativeMethods.redirector_forget(handle, ref address));
        }

        /// <summary>Replaces the rules. Returns when the engine uses them. If it throws, the message says which rule is not right,
        /// and why, and the former rules stay.</summary>
        public void SetRules(IList<RedirectorRule> rules)
        {
            using (var memory = new NativeMemory())
            {
                var c = memory.Rules(rules);
                var error = memory.Error();
                uint status = NativeMethods.redirector_set_rules(handle, c, (uint)rules.Count, error);
                if (status != 0)
                {
                    throw NativeMemory.Exception(status, error);
                }
            }
        }

        /// <summary>What rules would make of a connection, by the code that redirects. It needs no administrator. What is never
        /// redirected, such as the agent's own, is not known to it.</summary>
        public static RedirectorVerdict TestRules(IList<RedirectorRule> rules, RedirectorRuleCase connection)
        {
            using (var memory = new NativeMemory())
            {
                var c = memory.Rules(rules);
                var asked = memory.RuleCase(connection);
                var error = memory.Error();
                var verdict = new NativeMethods.redirector_rule_verdict();
                verdict.size = NativeMemory.SizeOf(verdict);
                uint status = NativeMethods.redirector_test_rules(c, (uint)rules.Count, ref asked, ref verdict, error);
                if (status != 0)
                {
                    throw NativeMemory.Exception(status, error);
                }
                return new RedirectorVerdict
                {
                    Action = (RedirectorRuleAction)verdict.action,
                    Rule = verdict.rule == NativeMethods.REDIRECTOR_NO_RULE ? null : (int?)verdict.rule,
                    Upstream = verdict.upstream,
                };
            }
        }

        /// <summary>Tells under which name an address was looked up, for rules that name a host: to be called by whoever has seen
        /// the answer of the DNS, before the program gets it, or has read a hosts file. Names are never guessed.</summary>
        public void TellName(IPAddress address, string name)
        {
            using (var memory = new NativeMemory())
            {
                var c = NativeMemory.Address(new IPEndPoint(address, 0));
                Check("redirector_tell_name", NativeMethods.redirector_tell_name(handle, ref c, memory.Name(name)));
            }
        }

        /// <summary>Waits for the next outgoing connection to decide about, for so long at most (Timeout.InfiniteTimeSpan: as long
        /// as redirection lasts); null: none has come. Several threads may wait.</summary>
        public RedirectorConnection NextConnection(TimeSpan timeout)
        {
            uint wait = timeout == TimeSpan.FromMilliseconds(-1) ? uint.MaxValue : NativeMemory.Milliseconds("timeout", timeout);
            var c = new NativeMethods.redirector_connection();
            c.size = NativeMemory.SizeOf(c);
            if (!Found("redirector_next_connection", NativeMethods.redirector_next_connection(handle, ref c, wait)))
            {
                return null;
            }
            return new RedirectorConnection
            {
                Id = c.connection_id,
                ProcessId = c.pid,
                Client = NativeMemory.EndPoint(c.client),
                Destination = NativeMemory.EndPoint(c.destination),
                Upstream = c.upstream,
            };
        }

        /// <summary>Decides about a connection of NextConnection(); false: it does not wait any more.</summary>
        public bool Decide(ulong connectionId, RedirectorDecision decision)
        {
            return Found("redirector_decide", NativeMethods.redirector_decide(handle, connectionId, (uint)decision));
        }

        /// <summary>The redirected connections that exist now, in no particular order.</summary>
        public IList<RedirectorFlow> Flows()
        {
            for (uint room = FirstFlows, total; ; room = total + total / 8) // more may come meanwhile
            {
                var flows = new NativeMethods.redirector_flow[room];
                flows[0].size = NativeMemory.SizeOf(flows[0]);
                Check("redirector_list_flows", NativeMethods.redirector_list_flows(handle, flows, room, out total));
                if (total > room)
                {
                    continue;
                }
                var list = new List<RedirectorFlow>((int)total);
                for (uint i = 0; i < total; i++)
                {
                    list.Add(NativeMemory.Flow(ref flows[i]));
                }
                return list;
            }
        }

        /// <summary>The counters since the start, by the names that redirector_stats has in the header; also after a stop.</summary>
        public IDictionary<string, ulong> Stats()
        {
            var c = new NativeMethods.redirector_stats();
            c.size = NativeMemory.SizeOf(c);
            Check("redirector_get_stats", NativeMethods.redirector_get_stats(handle, ref c));
            var stats = new Dictionary<string, ulong>();
            foreach (var field in typeof(NativeMethods.redirector_stats).GetFields())
            {
                if (field.Name != "size")
                {
                    stats[field.Name] = Convert.ToUInt64(field.GetValue(c), CultureInfo.InvariantCulture);
                }
            }
            return stats;
        }

        private static void Check(string call, uint status)
        {
            if (status != 0)
            {
                throw new RedirectorException(status, 0, call + ": " + NativeText.Read(NativeMethods.redirector_status_name(status)));
            }
        }

        /// <summary>The result of a call for which "not found" is an answer.</summary>
        private static bool Found(string call, uint status)
        {
            if (status == NativeMethods.REDIRECTOR_NOT_FOUND)
            {
                return false;
            }
            Check(call, status);
            return true;
        }
    }

    /// <summary>The five classic calls: one redirector per process. For programs that were written against them.</summary>
    public static class ClassicRedirector
    {
        /// <summary>Redirects a process and its descendants to a proxy on 127.0.0.1 and [::1]; a port that is 0: not in that
        /// direction. agentProcessId 0: this process.</summary>
        public static void Start(uint clientProcessId, uint agentProcessId, int proxyPort, int incomingProxy)
        {
            Check(NativeMethods.start_redirector(clientProcessId, agentProcessId, NativeMemory.Port(proxyPort),
                                                 NativeMemory.Port(incomingProxy)));
        }

        /// <summary>Stops what Start() started. Blocks for at most 1 s.</summary>
        public static void Stop()
        {
            Check(NativeMethods.stop_redirector());
        }

        /// <summary>Where the connection from a source port was going; ip_version is 0 if there is no such connection.</summary>
        public static NativeMethods.WinDest GetDestination(int sourcePort)
        {
            return NativeMethods.get_destination(NativeMemory.Port(sourcePort));
        }

        /// <summary>Removes a mapping for good; false: there was none.</summary>
        public static bool DeleteDestination(int sourcePort)
        {
            return NativeMethods.delete_destination(NativeMemory.Port(sourcePort)) != 0;
        }

        private static void Check(uint done)
        {
            if (done == 0)
            {
                using (var memory = new NativeMemory())
                {
                    var error = memory.Error();
                    NativeMethods.redirector_last_error(error);
                    throw NativeMemory.Exception(NativeMemory.StatusOf(error), error);
                }
            }
        }
    }

    /// <summary>
    /// The way of log lines from the library's thread. The library has one delegate, which is never collected, and as context a
    /// number, not an address: so a line that is still on its way when the redirector is gone finds nobody, and no harm is done.
    /// </summary>
    internal sealed class LogReceiver : IDisposable
    {
        private static readonly NativeMethods.LogFunction Delegate = Receive;
        internal static readonly IntPtr Function = Marshal.GetFunctionPointerForDelegate(Delegate);
        private static readonly Dictionary<long, LogReceiver> Receivers = new Dictionary<long, LogReceiver>();
        private static long last;
        private readonly Action<RedirectorLogLevel, string> action;
        private readonly long number;
        private long exceptions;

        internal LogReceiver(Action<RedirectorLogLevel, string> action)
        {
            this.action = action;
            lock (Receivers)
            {
                number = ++last;
                Receivers.Add(number, this);
            }
        }

        internal IntPtr Context { get { return new IntPtr(number); } }

        internal long Exceptions { get { return System.Threading.Interlocked.Read(ref exceptions); } }

        public void Dispose()
        {
            lock (Receivers)
            {
                Receivers.Remove(number);
            }
        }

        private static void Receive(IntPtr context, uint level, IntPtr line)
        {
            LogReceiver receiver;
            lock (Receivers)
            {
                if (!Receivers.TryGetValue(context.ToInt64(), out receiver))
                {
                    return;
                }
            }
            try
            {
                receiver.action((RedirectorLogLevel)level, NativeText.Read(line));
            }
            catch (Exception) // an exception that leaves here ends the process
            {
                System.Threading.Interlocked.Increment(ref receiver.exceptions);
            }
        }
    }

    /// <summary>A redirector of the library, which is freed when nobody uses it any more, a call in progress included.</summary>
    internal sealed class RedirectorHandle : SafeHandleZeroOrMinusOneIsInvalid
    {
        internal RedirectorHandle(IntPtr created) : base(true)
        {
            SetHandle(created);
        }

        protected override bool ReleaseHandle()
        {
            NativeMethods.redirector_free(handle);
            return true;
        }
    }

    internal static class NativeText
    {
        /// <summary>A string of UTF-8 that ends with NUL. (Marshal.PtrToStringUTF8 is not in .NET Framework.)</summary>
        internal static string Read(IntPtr text)
        {
            if (text == IntPtr.Zero)
            {
                return null;
            }
            int length = 0;
            while (Marshal.ReadByte(text, length) != 0)
            {
                length++;
            }
            var bytes = new byte[length];
            Marshal.Copy(text, bytes, 0, length);
            return Encoding.UTF8.GetString(bytes);
        }
    }

    /// <summary>What a call needs of memory that stays where it is, until the call is over.</summary>
    internal sealed class NativeMemory : IDisposable
    {
        private const int LongestName = 253;
        private readonly List<IntPtr> blocks = new List<IntPtr>();

        public void Dispose()
        {
            foreach (var block in blocks)
            {
                Marshal.FreeHGlobal(block);
            }
        }

        private IntPtr New(int size)
        {
            var block = Marshal.AllocHGlobal(size);
            blocks.Add(block);
            return block;
        }

        private IntPtr Text(string what, string text)
        {
            if (text == null)
            {
                return IntPtr.Zero;
            }
            if (text.IndexOf('\0') >= 0)
            {
                throw new ArgumentException(what + " contains a NUL character");
            }
            var bytes = Encoding.UTF8.GetBytes(text + "\0");
            var block = New(bytes.Length);
            Marshal.Copy(bytes, 0, block, bytes.Length);
            return block;
        }

        private IntPtr Array<T>(IList<T> items) where T : struct
        {
            if (items.Count == 0)
            {
                return IntPtr.Zero;
            }
            int size = Marshal.SizeOf(typeof(T));
            var block = New(checked(size * items.Count));
            for (int i = 0; i < items.Count; i++)
            {
                Marshal.StructureToPtr(items[i], new IntPtr(block.ToInt64() + (long)i * size), false);
            }
            return block;
        }

        private static List<TO> Each<TI, TO>(IList<TI> items, Converter<TI, TO> convert)
        {
            return new List<TI>(items).ConvertAll(convert);
        }

        internal IntPtr Rules(IList<RedirectorRule> rules)
        {
            int number = 0;
            return Array(Each(rules, rule => Rule("rule " + number++ + ": ", rule)));
        }

        private NativeMethods.redirector_rule Rule(string which, RedirectorRule rule)
        {
            var c = new NativeMethods.redirector_rule
            {
                action = (uint)rule.Action,
                pid = rule.ProcessId,
                direction = (uint)rule.Direction,
                pattern = Text(which + "its pattern", rule.Pattern),
                listener = Text(which + "its listener", rule.Listener),
                host = Text(which + "its host", rule.Host),
                protocol = rule.Protocol == null ? 0 : (uint)rule.Protocol.Value,
                first_port = Number(which + "its first port", rule.FirstPort, 65535),
                last_port = Number(which + "its last port", rule.LastPort == 0 ? rule.FirstPort : rule.LastPort, 65535),
                upstream = rule.Upstream,
            };
            c.size = SizeOf(c);
            if (rule.Network != null)
            {
                int bits = rule.Network.GetAddressBytes().Length * 8;
                var network = Address(new IPEndPoint(rule.Network, 0));
                int clothes = network.family == 4 ? bits - 32 : 0; // of an IPv4 address in those of IPv6
                c.family = network.family;
                c.prefix_length = Number(which + "its prefix length", (rule.PrefixLength ?? bits) - clothes, bits - clothes);
                c.network_first = network.bytes_first;
                c.network_second = network.bytes_second;
                c.network_third = network.bytes_third;
                c.network_fourth = network.bytes_fourth;
            }
            else if (rule.PrefixLength != null)
            {
                throw new ArgumentException(which + "it has a prefix length, and no network");
            }
            return c;
        }

        internal NativeMethods.redirector_rule_case RuleCase(RedirectorRuleCase connection)
        {
            if (connection.Address == null)
            {
                throw new ArgumentException("the connection has no address");
            }
            var c = new NativeMethods.redirector_rule_case
            {
                in_tree = connection.InTree ? 1u : 0u,
                pid = connection.ProcessId,
                protocol = (uint)connection.Protocol,
                direction = (uint)connection.Direction,
                address = Address(connection.Address),
                program = Text("the connection's program", connection.Program),
                listener = Text("the connection's listener", connection.Listener),
                host = Text("the connection's host", connection.Host),
            };
            c.size = SizeOf(c);
            return c;
        }

        /// <summary>Of a host; the DNS has a dot at its end.</summary>
        internal IntPtr Name(string name)
        {
            string bare = name.EndsWith(".", StringComparison.Ordinal) ? name.Substring(0, name.Length - 1) : name;
            int length = Encoding.UTF8.GetByteCount(bare);
            if (length < 1 || length > LongestName)
            {
                throw new ArgumentException("a name has 1 to " + LongestName + " bytes, and this one " + length);
            }
            return Text("the name", bare);
        }

        private static uint Number(string what, int number, int most)
        {
            if (number < 0 || number > most)
            {
                throw new ArgumentOutOfRangeException("rules", number, what + " is not 0 to " + most);
            }
            return (uint)number;
        }

        internal NativeMethods.redirector_config Config(RedirectorConfig config)
        {
            var c = new NativeMethods.redirector_config
            {
                agent_pid = config.AgentProcessId,
                proxy_port = Port(config.ProxyPort),
                incoming_port = Port(config.IncomingPort),
                udp_port = Port(config.UdpPort),
                udp_idle_ms = Milliseconds("UdpIdle", config.UdpIdle),
                flags = (uint)config.Flags,
                hold_timeout_ms = Milliseconds("HoldTimeout", config.HoldTimeout),
                log_level = (uint)config.LogLevel,
                scan_interval_ms = Milliseconds("ScanInterval", config.ScanInterval),
                rule_count = (uint)config.Rules.Count,
                rules = Rules(config.Rules),
                windivert_dir = Text("WinDivertFolder", config.WinDivertFolder),
                log_path = Text("LogPath", config.LogPath),
                roots = Array(config.Roots),
                root_count = (uint)config.Roots.Count,
                upstream_count = (uint)config.Upstreams.Count,
                upstreams = Array(Each(config.Upstreams, Address)),
                decision_timeout_ms = Milliseconds("DecisionTimeout", config.DecisionTimeout),
                listen_port_count = (uint)config.ListenPorts.Count,
                listen_ports = Array(Each(config.ListenPorts, Port)),
            };
            c.size = SizeOf(c);
            return c;
        }

        /// <summary>A redirector_error to be filled in.</summary>
        internal IntPtr Error()
        {
            var error = New(NativeMethods.SizeOfError);
            Marshal.Copy(new byte[NativeMethods.SizeOfError], 0, error, NativeMethods.SizeOfError);
            Marshal.WriteInt32(error, NativeMethods.SizeOfError);
            return error;
        }

        internal static uint StatusOf(IntPtr error)
        {
            return (uint)Marshal.ReadInt32(error, NativeMethods.OffsetOfErrorCode);
        }

        internal static uint OsErrorOf(IntPtr error)
        {
            return (uint)Marshal.ReadInt32(error, NativeMethods.OffsetOfErrorOsError);
        }

        internal static string TextOf(IntPtr error)
        {
            return NativeText.Read(new IntPtr(error.ToInt64() + NativeMethods.OffsetOfErrorText));
        }

        internal static RedirectorException Exception(uint status, IntPtr error)
        {
            return new RedirectorException(status, OsErrorOf(error), TextOf(error));
        }

        internal static uint SizeOf<T>(T structure) where T : struct
        {
            return (uint)Marshal.SizeOf(typeof(T));
        }

        internal static uint Port(int port)
        {
            if (port < 0 || port > 65535)
            {
                throw new ArgumentOutOfRangeException("port", port, "a port is 0 to 65535");
            }
            return (uint)port;
        }

        /// <summary>A time that is not 0 does not become 0, which means something else.</summary>
        internal static uint Milliseconds(string what, TimeSpan time)
        {
            double rounded = Math.Ceiling(time.TotalMilliseconds);
            if (rounded < 0 || rounded >= uint.MaxValue)
            {
                throw new ArgumentOutOfRangeException(what, time, "it is negative, or too long");
            }
            return (uint)rounded;
        }

        /// <summary>An IPv4 address in IPv6's clothes, as a listener for both families has it, becomes one of IPv4.</summary>
        internal static NativeMethods.redirector_address Address(IPEndPoint address)
        {
            var bytes = address.Address.GetAddressBytes();
            bool mapped = bytes.Length == 16 && bytes[10] == 0xFF && bytes[11] == 0xFF &&
                System.Array.FindIndex(bytes, 0, 10, b => b != 0) < 0;
            if (mapped)
            {
                bytes = new[] { bytes[12], bytes[13], bytes[14], bytes[15] };
            }
            var c = new NativeMethods.redirector_address { family = bytes.Length == 4 ? 4u : 6u, port = (uint)address.Port };
            c.scope = bytes.Length == 4 ? 0 : (uint)address.Address.ScopeId;
            System.Array.Resize(ref bytes, 16);
            c.bytes_first = BitConverter.ToUInt32(bytes, 0);
            c.bytes_second = BitConverter.ToUInt32(bytes, 4);
            c.bytes_third = BitConverter.ToUInt32(bytes, 8);
            c.bytes_fourth = BitConverter.ToUInt32(bytes, 12);
            return c;
        }

        internal static IPEndPoint EndPoint(NativeMethods.redirector_address c)
        {
            var bytes = new List<byte>(16);
            foreach (uint word in new[] { c.bytes_first, c.bytes_second, c.bytes_third, c.bytes_fourth })
            {
                bytes.AddRange(BitConverter.GetBytes(word));
            }
            var address = c.family == 4 ? new IPAddress(bytes.GetRange(0, 4).ToArray()) : new IPAddress(bytes.ToArray(), c.scope);
            return new IPEndPoint(address, (int)c.port);
        }

        internal static RedirectorFlow Flow(ref NativeMethods.redirector_flow c)
        {
            return new RedirectorFlow
            {
                ProcessId = c.pid,
                Kind = (RedirectorFlowKind)c.kind,
                Protocol = (RedirectorProtocol)c.protocol,
                State = (RedirectorFlowState)c.state,
                Client = EndPoint(c.client),
                Destination = EndPoint(c.destination),
                Peer = EndPoint(c.peer),
                BytesUp = c.bytes_up,
                BytesDown = c.bytes_down,
                PacketsUp = c.packets_up,
                PacketsDown = c.packets_down,
                OpenedUtc = new DateTime(1970, 1, 1, 0, 0, 0, DateTimeKind.Utc).AddMilliseconds(c.opened_ms),
                Age = TimeSpan.FromMilliseconds(c.age_ms),
            };
        }
    }

    /// <summary>windows_redirector.h: structures and calls as they are there.</summary>
    public static class NativeMethods
    {
        private const string Dll = "windows_redirector";
        internal const uint REDIRECTOR_NOT_FOUND = 8;
        internal const uint REDIRECTOR_NO_RULE = 0xFFFFFFFF;

        // redirector_error: read by these, for a text of fixed length could only be an array.
        internal const int SizeOfError = 336;
        internal const int OffsetOfErrorCode = 4;
        internal const int OffsetOfErrorOsError = 8;
        internal const int OffsetOfErrorText = 12;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate void LogFunction(IntPtr context, uint level, IntPtr line);

        [StructLayout(LayoutKind.Sequential)]
        public struct WinDest
        {
            public uint ip_version;
            public uint dest_ip4;
            public uint dest_ip6_first;
            public uint dest_ip6_second;
            public uint dest_ip6_third;
            public uint dest_ip6_fourth;
            public uint dest_port;
            public uint kernel_pid;
        }

        [StructLayout(LayoutKind.Sequential)]
        internal struct redirector_rule
        {
            public uint size;
            public uint action;
            public uint pid;
            public uint direction;
            public IntPtr pattern;
            public IntPtr listener;
            public IntPtr host;
            public uint protocol;
            public uint first_port;
            public uint last_port;
            public uint family;
            public uint prefix_length;
            public uint network_first;
            public uint network_second;
            public uint network_third;
            public uint network_fourth;
            public uint upstream;
        }

        [StructLayout(LayoutKind.Sequential)]
        internal struct redirector_address
        {
            public uint family;
            public uint port;
            public uint bytes_first;
            public uint bytes_second;
            public uint bytes_third;
            public uint bytes_fourth;
            public uint scope;
        }

        [StructLayout(LayoutKind.Sequential)]
        internal struct redirector_config
        {
            public uint size;
            public uint client_pid;
            public uint agent_pid;
            public uint proxy_port;
            public uint incoming_port;
            public uint flags;
            public uint hold_timeout_ms;
            public uint log_level;
            public uint scan_interval_ms;
            public uint rule_count;
            public IntPtr rules;
            public IntPtr windivert_dir;
            public IntPtr log_path;
            public IntPtr log_fn;
            public IntPtr log_context;
            public IntPtr roots;
            public uint root_count;
            public uint upstream_count;
            public IntPtr upstreams;
            public uint decision_timeout_ms;
            public uint listen_port_count;
            public IntPtr listen_ports;
            public uint udp_port;
            public uint udp_idle_ms;
        }

        [StructLayout(LayoutKind.Sequential)]
        internal struct redirector_destination
        {
            public uint size;
            public uint pid;
            public uint incoming;
            public uint protocol;
            public redirector_address destination;
            public ulong connection_id;
            public uint upstream;
            public uint reserved;
        }

        [StructLayout(LayoutKind.Sequential)]
        internal struct redirector_connection
        {
            public uint size;
            public uint pid;
            public ulong connection_id;
            public redirector_address client;
            public redirector_address destination;
            public uint upstream;
            public uint reserved;
        }

        [StructLayout(LayoutKind.Sequential)]
        internal struct redirector_rule_case
        {
            public uint size;
            public uint in_tree;
            public uint pid;
            public uint protocol;
            public uint direction;
            public redirector_address address;
            public IntPtr program;
            public IntPtr listener;
            public IntPtr host;
        }

        [StructLayout(LayoutKind.Sequential)]
        internal struct redirector_rule_verdict
        {
            public uint size;
            public uint action;
            public uint rule;
            public uint upstream;
        }

        [StructLayout(LayoutKind.Sequential)]
        internal struct redirector_flow
        {
            public uint size;
            public uint pid;
            public uint kind;
            public uint state;
            public redirector_address client;
            public redirector_address destination;
            public redirector_address peer;
            public uint protocol;
            public ulong bytes_up;
            public ulong bytes_down;
            public ulong packets_up;
            public ulong packets_down;
            public ulong opened_ms;
            public ulong age_ms;
        }

        [StructLayout(LayoutKind.Sequential)]
        internal struct redirector_stats
        {
            public uint size;
            public uint flows_live;
            public ulong flows_total;
            public ulong flow_table_full;
            public ulong packets_seen;
            public ulong packets_passed;
            public ulong packets_rewritten;
            public ulong packets_held;
            public ulong packets_dropped;
            public ulong packets_malformed;
            public ulong proxy_not_listening;
            public ulong hold_timeouts;
            public ulong hold_overflows;
            public ulong send_errors;
            public ulong receive_errors;
            public ulong events_seen;
            public ulong lookups_hit;
            public ulong lookups_missed;
            public ulong log_lines_dropped;
            public ulong queue_delay_last_us;
            public ulong queue_delay_max_us;
            public ulong queue_delay_mean_us;
            public ulong capture_waits;
            public ulong filter_replacements;
            public ulong watchdog_trips;
            public ulong syns_forwarded;
            public ulong link_local_passed;
            public ulong capture_timeouts;
            public ulong self_connections;
            public ulong proxy_connections;
            public ulong decision_waits;
            public ulong decision_timeouts;
            public ulong decision_overflows;
            public ulong priority_shared;
            public ulong led_by_others;
            public ulong firewall_permit;
            public ulong members_forgotten;
            public ulong members_outside;
            public ulong tree_listeners;
            public ulong proofs;
            public ulong steering_replaced;
            public ulong handle_renewals;
            public ulong table_waits;
            public ulong table_timeouts;
            public ulong table_failures;
            public ulong agent_connections;
            public ulong loopback_passed;
            public ulong listener_overflows;
            public ulong processes_unknown;
            public ulong segments_cut;
            public ulong large_segments;
            public ulong udp_flows_live;
            public ulong udp_flows_total;
            public ulong udp_table_full;
            public ulong udp_packets_seen;
            public ulong udp_packets_passed;
            public ulong udp_packets_rewritten;
            public ulong udp_packets_held;
            public ulong udp_packets_dropped;
            public ulong udp_packets_malformed;
            public ulong udp_proxy_not_listening;
            public ulong udp_hold_timeouts;
            public ulong udp_hold_overflows;
            public ulong udp_fragments_passed;
            public ulong udp_errors_translated;
            public ulong udp_uncaptured;
            public ulong connections_blocked;
            public ulong udp_packets_blocked;
        }

        [DllImport(Dll, CallingConvention = CallingConvention.Cdecl)]
        internal static extern uint start_redirector(uint client_pid, uint agent_pid, uint proxy_port,
            uint incoming_proxy);

        [DllImport(Dll, CallingConvention = CallingConvention.Cdecl)]
        internal static extern uint stop_redirector();

        [DllImport(Dll, CallingConvention = CallingConvention.Cdecl)]
        internal static extern WinDest get_destination(uint src_port);

        [DllImport(Dll, CallingConvention = CallingConvention.Cdecl)]
        internal static extern uint delete_destination(uint src_port);

        [DllImport(Dll, CallingConvention = CallingConvention.Cdecl)]
        internal static extern uint redirector_last_error(IntPtr error);

        [DllImport(Dll, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr redirector_status_name(uint status);

        [DllImport(Dll, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr redirector_version();

        [DllImport(Dll, CallingConvention = CallingConvention.Cdecl)]
        internal static extern uint redirector_start(ref redirector_config config, out IntPtr r, IntPtr error);

        [DllImport(Dll, CallingConvention = CallingConvention.Cdecl)]
        internal static extern uint redirector_stop(RedirectorHandle r);

        [DllImport(Dll, CallingConvention = CallingConvention.Cdecl)]
        internal static extern uint redirector_get_state(RedirectorHandle r, IntPtr why);

        [DllImport(Dll, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void redirector_free(IntPtr r);

        [DllImport(Dll, CallingConvention = CallingConvention.Cdecl)]
        internal static extern uint redirector_lookup(RedirectorHandle r, ref redirector_address peer,
            ref redirector_destination destination);

        [DllImport(Dll, CallingConvention = CallingConvention.Cdecl)]
        internal static extern uint redirector_udp_unreachable(RedirectorHandle r, ref redirector_address peer);

        [DllImport(Dll, CallingConvention = CallingConvention.Cdecl)]
        internal static extern uint redirector_forget(RedirectorHandle r, ref redirector_address peer);

        [DllImport(Dll, CallingConvention = CallingConvention.Cdecl)]
        internal static extern uint redirector_set_rules(RedirectorHandle r, IntPtr rules, uint count,
            IntPtr error);

        [DllImport(Dll, CallingConvention = CallingConvention.Cdecl)]
        internal static extern uint redirector_test_rules(IntPtr rules, uint count, ref redirector_rule_case connection,
            ref redirector_rule_verdict verdict, IntPtr error);

        [DllImport(Dll, CallingConvention = CallingConvention.Cdecl)]
        internal static extern uint redirector_tell_name(RedirectorHandle r, ref redirector_address address, IntPtr name);

        [DllImport(Dll, CallingConvention = CallingConvention.Cdecl)]
        internal static extern uint redirector_next_connection(RedirectorHandle r,
            ref redirector_connection connection, uint timeout_ms);

        [DllImport(Dll, CallingConvention = CallingConvention.Cdecl)]
        internal static extern uint redirector_decide(RedirectorHandle r, ulong connection_id, uint decision);

        [DllImport(Dll, CallingConvention = CallingConvention.Cdecl)]
        internal static extern uint redirector_list_flows(RedirectorHandle r, [In, Out] redirector_flow[] flows,
            uint capacity, out uint total);

        [DllImport(Dll, CallingConvention = CallingConvention.Cdecl)]
        internal static extern uint redirector_get_stats(RedirectorHandle r, ref redirector_stats stats);
    }
}
