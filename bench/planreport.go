package bench

import (
	"cmp"
	"fmt"
	"io"
)

// writePlan prints a plan: every figure with where it comes from, and the settings ready to be copied.
func writePlan(w io.Writer, d demand, s *slopes, p plan) {
	t := p.slopes
	over := "TCP"
	if d.tls {
		over = "TLS"
	}
	fmt.Fprintf(w, "%s connections over %s, %s messages/s of %d bytes to %s receivers each, keep alive %v, all back within %v.\n\n",
		thousands(d.connections), over, number(d.rate), d.payload, number(d.receivers), d.keepAlive, d.reconnect)
	fmt.Fprintf(w, "Measured: %s, %s cores, %s, Linux %s, load %s; %s; %d to %d connections, both ends on that machine.\n",
		cmp.Or(s.Machine.Date, "at an unknown time"), thousands(s.Machine.Cores), cmp.Or(s.Machine.CPU, "unknown processor"),
		cmp.Or(s.Machine.Kernel, "unknown"), cmp.Or(s.Machine.Load, "unknown"), cmp.Or(s.Version, "unknown version"), t.Few, t.Many)
	fmt.Fprintf(w, "Extrapolated: a straight line through what was measured, here to %s times as many connections.\n", number(float64(d.connections)/float64(t.Many)))

	line := func(what, figure, from string) { writeLine(w, []string{what, figure, from}) }
	table := func(title string) {
		fmt.Fprintf(w, "\n### %s\n\n", title)
		line("what", "figure", "from")
		line("---", "---:", "---")
	}
	const measured, extrapolated = "measured", "extrapolated"

	table("One of each")
	line("broker, resident memory of an idle connection", number(t.Resident)+" B", measured)
	line("kernel, one socket", number(t.Kernel)+" B", "measured: half of the slab memory that both ends took")
	line("broker, a client that comes: accept, handshake, CONNECT, SUBSCRIBE", number(t.Connect)+" µs of a core", measured)
	line("broker, a message in or out, alone, QoS 1", number(t.Message)+" µs", "measured with 64 bytes")
	line("the same, 20 in flight", number(t.Batched)+" µs", "measured with 64 bytes; not used below")

	table("Brokers, all together")
	line("resident memory", bytesText(p.resident), extrapolated)
	line("room for garbage under traffic", bytesText(p.garbage), "assumed: as much as is alive, the collector's target")
	line("kernel, sockets", bytesText(p.sockets), extrapolated)
	line("kernel, socket buffers", bytesText(p.buffers),
		fmt.Sprintf("assumed: 2 pages for a second for each message and newcomer, 64 KiB for each client of %.0f %% that do not read", 100*slowShare))
	line("memory", bytesText(p.memory), fmt.Sprintf("the sum, %.0f %% of the machine", 100*memoryShare))
	line("busy cores, messages", number(p.messageCores),
		fmt.Sprintf("extrapolated: each message alone; %s if 20 came together", number(p.batchedCores)))
	line("busy cores, keep alive", number(p.pingCores), "assumed: PINGREQ and PINGRESP cost what a message in and one out do")
	line("busy cores, while all come back", number(p.backCores), fmt.Sprintf("extrapolated, %s clients/s", number(p.backRate)))
	line("cores", number(p.cores), fmt.Sprintf("the sum, each %.0f %% busy; measured on %d", 100*coreShare, s.Machine.Cores))
	line("network, in", bitsText(p.inBits), "arithmetic: a segment for each message, topics of 30 bytes")
	line("network, out", bitsText(p.outBits), "the same")
	p.writeMachines(line)

	table("Load machines")
	line("machines", thousands(p.loaders), fmt.Sprintf("arithmetic: %s connections each", thousands(p.perLoader)))
	line("memory of each", bytesText(p.loaderBytes), fmt.Sprintf("extrapolated: %s B of the loader and one socket for each connection", number(t.Loader)))
	line("cores of each", number(p.loaderCores), fmt.Sprintf("extrapolated: %s µs for each message; a loader process is one thread, so as many processes", number(t.LoaderMessage)))
	line("source addresses of each", thousands(p.addresses), fmt.Sprintf("arithmetic: %s ports of one address to one listener", thousands(portsEach)))
	p.writeSettings(w)
}

func (p *plan) writeMachines(line func(what, figure, from string)) {
	from := "one broker: its sessions are in one process"
	if p.machines > 1 {
		from = "arithmetic: by --loops, 256 at most, and --memory; brokers do not share sessions, so clients must be split among them"
	}
	line("broker machines", thousands(p.machines), from)
	busy := p.cores * coreShare / float64(p.machines*p.loops)
	line("event loops of each", thousands(p.loops), fmt.Sprintf("%.0f %% busy at the worst; how far loops scale beyond the measured cores is not known", 100*busy))
}

// writeSettings prints what has to be set before a machine can hold its share.
func (p *plan) writeSettings(w io.Writer) {
	title := func(of string, n int) {
		fmt.Fprintf(w, "\n### Settings of each %s machine, for %s connections\n\n", of, thousands(n))
	}
	set := func(why, format string, values ...any) {
		text := fmt.Sprintf(format, values...)
		if why != "" {
			text = fmt.Sprintf("%-52s # %s", text, why)
		}
		fmt.Fprintf(w, "    %s\n", text)
	}
	low, pressure, high := p.pages()
	title("broker", p.per)
	set("descriptors of one process: a connection is one, and some to spare", "fs.nr_open = %d", files(p.per))
	set("descriptors of the system", "fs.file-max = %d", files(p.per)*6/5)
	set("connections that wait to be accepted: those of a second", "net.core.somaxconn = %d", p.backlog())
	set("the same, before their handshake", "net.ipv4.tcp_max_syn_backlog = %d", p.backlog())
	set("pages of socket buffers: the table's, half more, twice", "net.ipv4.tcp_mem = %d %d %d", low, pressure, high)
	set("only where connections are tracked; NOTRACK for the port is better", "net.netfilter.nf_conntrack_max = %d", p.per+p.per/5)
	set("in the unit; or ulimit -n", "LimitNOFILE=%d", files(p.per))
	set("newcomers a second: those of the table", "gannet serve --loops %d --max-accept-rate %d", p.loops, min(max(ceil(p.backRate/float64(p.machines)), 1), acceptRateMax))

	title("load", p.perLoader)
	set("", "fs.nr_open = %d", files(p.perLoader))
	set("", "fs.file-max = %d", files(p.perLoader)*6/5)
	set("ports of each source address", "net.ipv4.ip_local_port_range = 1024 65535")
	set("only where connections are tracked", "net.netfilter.nf_conntrack_max = %d", p.perLoader+p.perLoader/5)
	set("of a loader that holds them all; fewer for each of several", "ulimit -n %d", files(p.perLoader))
	set(fmt.Sprintf("until there are %d source addresses", p.addresses), "ip address add ADDRESS dev DEVICE")
}

func bytesText(v float64) string {
	if v < 1<<30 {
		return number(v/(1<<20)) + " MiB"
	}
	return number(v/(1<<30)) + " GiB"
}

func bitsText(v float64) string { return number(v/1e6) + " Mbit/s" }
