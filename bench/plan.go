package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strconv"
	"time"
)

// demand is what a deployment is to bear.
type demand struct {
	connections int
	tls         bool
	rate        float64 // messages a second, published by all clients together
	receivers   float64 // deliveries of each message, on average
	payload     int     // bytes
	keepAlive   time.Duration
	reconnect   time.Duration // in which all may come back
	loops       int           // of one broker machine, a core each; 0: as many as it takes
	memory      float64       // GiB of one broker machine; 0: as much as it takes
	perLoader   int           // connections of one load machine
}

// planOptions are what the flags of gannet bench plan say.
type planOptions struct {
	demand
	measure bool
	slopes  string
	save    string
	gannet  string
}

// planSettings reads the arguments of gannet bench plan.
func planSettings(args []string, output io.Writer) (*planOptions, error) {
	o := &planOptions{}
	f := newFlags("plan", "computes machines and kernel settings for many connections from measured slopes", output)
	f.IntVar(&o.connections, "connections", 1_000_000, "`N` clients, silent but for --rate and --keep-alive")
	f.BoolVar(&o.tls, "tls", false, "they speak TLS")
	f.Float64Var(&o.rate, "rate", 0, "`N` messages a second that all clients together publish (default: one a minute from each)")
	f.Float64Var(&o.receivers, "receivers", 1, "`N` clients that hear each message, on average")
	f.IntVar(&o.payload, "payload", 100, "`B` bytes of each message, for the network; processor time was measured with 64")
	f.DurationVar(&o.keepAlive, "keep-alive", 5*time.Minute, "`TIME` after which a silent client sends PINGREQ; 0: none does")
	f.DurationVar(&o.reconnect, "reconnect", 10*time.Minute, "`TIME` in which all clients may come back after a restart")
	f.IntVar(&o.loops, "loops", 0, "`N` event loops of one broker machine, a core each; 0: as many as it takes on one machine, which has 256 at most")
	f.Float64Var(&o.memory, "memory", 0, "`GIB` of memory of one broker machine; 0: as much as it takes")
	f.IntVar(&o.perLoader, "per-loader", 500_000, "`N` connections from one load machine")
	f.BoolVar(&o.measure, "measure", false, "take the slopes now, with a broker started here: about half a minute")
	f.StringVar(&o.slopes, "slopes", "", "`FILE` with slopes that were saved earlier (default: those that came with this program)")
	f.StringVar(&o.save, "save", "", "`FILE` for the slopes of --measure")
	f.StringVar(&o.gannet, "gannet", "", "`PATH` of the gannet to measure (default: this program)")
	if err := f.parse(args); err != nil {
		return nil, err
	}
	const most = 1_000_000_000
	switch {
	case o.connections < 1 || o.connections > most:
		return nil, fmt.Errorf("connections: %d is not between 1 and %d", o.connections, most)
	case !(o.rate >= 0 && o.rate <= most):
		return nil, fmt.Errorf("rate: %v is not between 0 and %d", o.rate, most)
	case !(o.receivers >= 0 && o.receivers <= float64(o.connections)):
		return nil, fmt.Errorf("receivers: %v is not between 0 and the %d of --connections", o.receivers, o.connections)
	case o.payload < 0 || o.payload > 256<<20:
		return nil, fmt.Errorf("payload: %d is not between 0 and %d", o.payload, 256<<20)
	case o.keepAlive < 0 || o.keepAlive > 65535*time.Second || o.keepAlive > 0 && o.keepAlive < time.Second:
		return nil, fmt.Errorf("keep-alive: %v is not between 1s and 65535s", o.keepAlive)
	case o.reconnect < time.Second || o.reconnect > 30*24*time.Hour:
		return nil, fmt.Errorf("reconnect: %v is not between 1s and 720h", o.reconnect)
	case o.loops < 0 || o.loops > loopsMax:
		return nil, fmt.Errorf("loops: %d is not between 0 and %d", o.loops, loopsMax)
	case !(o.memory >= 0 && o.memory <= 1<<20):
		return nil, fmt.Errorf("memory: %v is not between 0 and 1048576", o.memory)
	case o.perLoader < 1 || o.perLoader > most:
		return nil, fmt.Errorf("per-loader: %d is not between 1 and %d", o.perLoader, most)
	case o.measure && o.slopes != "":
		return nil, errors.New("slopes: not together with --measure")
	case !o.measure && (o.save != "" || o.gannet != ""):
		return nil, errors.New("save, gannet: only together with --measure")
	}
	if o.rate == 0 {
		o.rate = float64(o.connections) / 60
	}
	return o, nil
}

// planCommand is gannet bench plan.
func planCommand(ctx context.Context, o *planOptions, stdout, stderr io.Writer) error {
	s, err := o.take(ctx, stderr)
	if err != nil {
		return err
	}
	t := &s.TCP
	if o.tls {
		t = &s.TLS
	}
	if t.Many == 0 {
		return misused(errors.New("slopes: there are none for this transport: measure with or without --tls, as here"))
	}
	writePlan(stdout, o.demand, s, makePlan(o.demand, *t))
	return nil
}

// take returns slopes: measured, from a file, or those that came with the program.
func (o *planOptions) take(ctx context.Context, log io.Writer) (s *slopes, err error) {
	text := reference
	switch {
	case o.measure:
		if o.save != "" {
			if err := creatable(o.save); err != nil {
				return nil, misused(fmt.Errorf("save: %w", err))
			}
		}
		path := o.gannet
		if path == "" {
			if path, err = os.Executable(); err != nil {
				return nil, fmt.Errorf("gannet: this program's file: %w", err)
			}
		}
		if s, err = measureSlopes(ctx, path, o.tls, log); err != nil {
			return nil, err
		}
		if o.save != "" {
			return s, s.save(o.save)
		}
		return s, nil
	case o.slopes != "":
		if text, err = os.ReadFile(o.slopes); err != nil {
			return nil, misused(fmt.Errorf("slopes: %w", err))
		}
	default:
		fmt.Fprintln(log, "these are the slopes that came with the program: --measure takes those of this machine")
	}
	if s, err = parseSlopes(text); err != nil {
		return nil, misused(err)
	}
	return s, nil
}

// creatable returns an error unless a file can be written, which stays as it is.
func creatable(file string) error {
	_, err := os.Stat(file)
	made := errors.Is(err, fs.ErrNotExist)
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	if err = f.Close(); made {
		err = errors.Join(err, os.Remove(file))
	}
	return err
}

// What is not measured but assumed.
const (
	coreShare     = 0.6     // of a core that may be busy: the rest is for bursts
	memoryShare   = 0.8     // of a machine's memory that may be used
	pageSize      = 4 << 10 // of the kernel's socket buffers
	slowShare     = 0.01    // of the clients do not read at the moment,
	slowBytes     = 64 << 10
	overhead      = 2 + 2 + 30 + 2 // bytes of a PUBLISH beside its payload: fixed header, topic with its length, Packet Identifier
	wireBytes     = 78             // of TCP, IPv4 and Ethernet for one segment, and
	ackBytes      = 4              // of PUBACK, in a segment of its own
	tlsRecord     = 22             // of TLS 1.3 around what is written at once
	portsEach     = 60_000         // connections from one source address to one address and port
	spareFiles    = 1624           // descriptors beside those of connections: the store, accepting, the rest
	loopsMax      = 256            // that gannet serve has, and
	acceptRateMax = 10_000_000     // newcomers a second
)

// plan is what a demand needs.
type plan struct {
	demand
	slopes transportSlopes

	resident, garbage, sockets, buffers float64 // bytes, of all broker machines together
	memory                              float64 // with what is left to the system
	messageCores, pingCores, backCores  float64 // busy, while nothing, while all come back
	batchedCores                        float64 // what messageCores would be if they came together
	cores                               float64 // with room for bursts
	machines                            int
	per                                 int // connections of one of them
	loops                               int // of one of them
	backRate                            float64
	inBits, outBits                     float64 // a second

	loaders     int
	perLoader   int     // connections
	addresses   int     // source addresses of a load machine
	loaderBytes float64 // of a load machine
	loaderCores float64 // of a load machine
}

// makePlan computes what d needs if everything goes on as t says.
func makePlan(d demand, t transportSlopes) plan {
	p := plan{demand: d, slopes: t}
	n, moved := float64(d.connections), d.rate*(1+d.receivers)
	p.backRate = n / d.reconnect.Seconds()

	p.resident = t.Empty + n*t.Resident
	p.garbage = n * t.Resident
	p.sockets = n * t.Kernel
	p.buffers = (moved+p.backRate)*2*pageSize + n*slowShare*slowBytes
	p.memory = (p.resident + p.garbage + p.sockets + p.buffers) / memoryShare

	p.messageCores, p.batchedCores = moved*t.Message/1e6, moved*t.Batched/1e6
	if d.keepAlive > 0 {
		p.pingCores = n / d.keepAlive.Seconds() * 2 * t.Message / 1e6
	}
	p.backCores = p.backRate * t.Connect / 1e6
	p.cores = (p.messageCores + p.pingCores + p.backCores) / coreShare

	p.machines = max(1, ceil(p.cores/float64(cmp.Or(d.loops, loopsMax))))
	if d.memory > 0 {
		p.machines = max(p.machines, ceil(p.memory/(d.memory*(1<<30))))
	}
	p.per = ceil(n / float64(p.machines))
	if p.loops = d.loops; p.loops == 0 {
		p.loops = max(2, ceil(p.cores/float64(p.machines)))
	}

	segment := float64(d.payload + overhead + wireBytes)
	answer := float64(ackBytes + wireBytes)
	if d.tls {
		segment, answer = segment+tlsRecord, answer+tlsRecord
	}
	p.inBits = 8 * (d.rate*segment + d.rate*d.receivers*answer)
	p.outBits = 8 * (d.rate*answer + d.rate*d.receivers*segment)

	p.loaders = ceil(n / float64(d.perLoader))
	p.perLoader = ceil(n / float64(p.loaders))
	p.addresses = ceil(float64(p.perLoader) / portsEach)
	p.loaderBytes = float64(p.perLoader) * (t.Loader + t.Kernel) / memoryShare
	p.loaderCores = moved * t.LoaderMessage / 1e6 / float64(p.loaders) / coreShare
	return p
}

func ceil(x float64) int { return int(math.Ceil(x - 1e-9)) }

// files is the limit of descriptors for a process with so many connections.
func files(connections int) int {
	return (connections + connections/20 + spareFiles + 1023) / 1024 * 1024
}

// backlog is how many connections may wait for a listener to accept them: those of a second.
func (p *plan) backlog() int {
	return min(max(4096, ceil(p.backRate/float64(p.machines))), 65535)
}

// pages are the three values of tcp_mem for one broker machine: where the kernel stops caring, where it begins to save,
// and where it refuses.
func (p *plan) pages() (low, pressure, high int) {
	need := ceil(p.buffers / float64(p.machines) / pageSize)
	return max(need, 1<<16), max(need*3/2, 1<<17), max(need*2, 1<<18)
}

func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + " " + text[i:]
	}
	return text
}
