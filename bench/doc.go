// Package bench puts a broker under load and reports what that cost: messages a
// second, processor time of the broker for each message, latency, and memory for
// each connection. It is the code behind gannet bench.
//
// # What it is
//
// gannet bench run loads a broker that runs already with one scenario, by name or from
// a file, for as long as one likes: fleets of clients with a window or by the clock,
// connections that come, stay and come back, and what a broker keeps. The others below
// start brokers themselves and compare them.
//
// gannet bench load starts brokers in turn, each fresh for each run and alone on
// the machine as far as this command can tell, drives the same scenarios against
// them and prints the medians of all rounds side by side. gannet bench idle opens
// connections that stay silent, in two steps, and prints what one of them adds to
// the broker's resident memory.
//
// gannet bench compare drives the scenarios of load, and idle, against any number of
// brokers and writes a report with charts. A broker is described by a small file of
// peers/ or of the user (peer.go): the one place that says how it is started. Everything
// found out is in results.json, from which reports can be made again.
//
// gannet bench secure does both over TLS and over WebSocket, and counts handshakes:
// full ones and those with a ticket. All brokers have one certificate, made for the run.
//
// gannet bench durable and gannet bench store are about brokers that keep what they
// are given. The first fills the queues of absent clients and drains them, with Gannet
// in each of its modes and with others in turn. The second fills the store of one
// broker with a lot of one thing, ends it, starts it again, and prints what comes to
// pass: times, rates, and memory as the kernel counts it.
//
// gannet bench agent waits on each of several load machines for gannet bench run
// --agents, which has no clients itself: it shares them out, has all agents start at one
// instant, and adds up what they counted. See agentwire.go for what they say to each other.
//
// gannet bench scale is a simulation of what no single machine has sockets for: millions of
// sessions, filters and receivers around the broker's core in this process. gannet bench plan
// computes machines and settings from measured slopes, and gannet bench cmp builds two
// commits and measures them in turn. SCALE.md tells how they go together.
//
// # How it measures
//
// The loader shares the machine with the broker, so it must cost little: one
// thread, one epoll set, one read for each readiness and, before and after each wait,
// one write for each connection. Its own processor time is reported too, and a row whose
// loader was busy nearly all the time says more about the loader than about the
// broker.
//
// The loop is the package's own, although the broker's is gnet. The loader was tried on
// gnet.Client, and costs more there wherever the machine is not full: gnet sleeps in
// an ordinary system call; its loops have no timer, so that a second thread sleeps and
// wakes the loop through an eventfd; dialing blocks, and hands each socket over with a
// second descriptor and a wake-up. It cannot leave a connection unread either, which
// clients that read slowly need. Processor time of the loader in microseconds for each
// message in or out, or connection, and p99 in milliseconds; medians of three rounds in
// turn, one event loop, QoS 0, 2 processors, Linux 6.18, gnet 2.10.0, November 2026:
//
//	                                     own    p99   gnet    p99  gnet/own
//	p2p-qos0, closed loop               0.06    2.1   0.07    3.6      1.18
//	single-qos0, closed loop            3.85    1.6   4.89    2.9      1.27
//	connect                             40.2     22   68.7     28      1.71
//	 2,000 clients,  10,000 messages/s  18.5    0.3   28.3    0.7      1.53
//	 2,000 clients,  50,000 messages/s  7.99    5.2   9.59     15      1.20
//	 2,000 clients, 200,000 messages/s  2.15     58   1.92    730      0.89
//	19,000 clients,  10,000 messages/s  16.1    1.5   25.1    3.1      1.56
//	19,000 clients,  50,000 messages/s  7.92     13   8.93    112      1.13
//	19,000 clients, 200,000 messages/s  1.87   1611   1.85   1913      0.99
//
// With 200,000 both processors are full: gnet fell behind the clock with 2,000 clients
// (195,000), both did with 19,000. In one run each, two event loops cost 1.28 and 0.90 times
// as much as one at 10,000 and 50,000, and Go's timers instead of a sleeping thread 0.45 and
// 0.99 times, but then p50 at 10,000 is 0.57 ms instead of 0.11: messages leave late.
//
// A message that is alone costs what the kernel takes for a read, a write and waking a
// thread at either end, whoever asks for it: nine tenths of the loader's time are the
// kernel's, and a loop in C that does nothing but write, epoll_pwait2 and read needs as
// much. The two in turn, medians of three rounds with 2,000 clients and of two with 19,000:
//
//	             2,000 own   in C    19,000 own   in C
//	10,000/s          15.5   17.3          16.1   14.0
//	20,000/s          12.2   14.1          12.7   14.9
//	50,000/s           7.4    8.0           8.1    7.3
//
// In C, edge-triggered polling made no difference, nor did recv and send for read and
// write. A timerfd made it 1.1 to 1.7 times as dear: it is on time, whereas a timeout may
// run over by the kernel's timer slack of 50 microseconds, and what is due in it leaves
// in one turn. That lateness, about 45 microseconds at 10,000 messages/s, is in the latency,
// for every broker alike.
//
// TLS and WebSocket lie between packets and sockets as layers without input or output
// of their own, so the loader has one thread with them, too. That thread has the same
// work to do with TLS as a broker has. Where it is busy all the time, the rate is its
// own, and only processor time for each unit compares brokers; every report has its
// share of a processor beside the rates.
//
// The loop is closed: a publisher may have a window of messages under way, and a
// message leaves the window when every receiver has it and, with QoS 1 and 2, the
// broker has acknowledged it. A broker is never measured by how fast it can drop.
// The paced scenario, and those of run with a rate, are open: they send by the clock,
// whatever comes back, and take the latency from the time at which a message was to leave,
// so that nothing is left out when a broker, or the loader, pauses.
//
// Rates count what was delivered. Processor time for each message is that of the
// whole broker process, user and system, over messages in plus messages out.
// With --syscalls, gannet bench run has the kernel count the system calls of the broker by
// name; its processor time is then up to a fifth more, and the report says so.
// Latency is the time from encoding to reading; with a deep window it is the
// depth of the window and little else.
//
// Every payload carries its publisher, its number and its time of sending. What is
// missing at the end, came twice or came out of order is counted, reported and
// makes the command fail: a rate with losses is not a rate.
//
// A durable run has two halves. The first is closed around the acknowledgement, for
// there is nobody to receive. In the second everything that was acknowledged must
// come, once and in order; losses and duplicates are counted per session and
// publisher, exactly, and a broker that loses gets no credit for waiting. Syncs are
// not counted and the disk is not emptied between runs; the brokers take turns
// instead, each with a fresh folder on the same disk, and every round is printed.
//
// # What it is not
//
// It is not a conformance test, and it does not simulate networks. It refuses to load
// another machine unless told that its broker is the user's: a load is an attack on
// anybody else's. Processor time is read from the process table of this machine, and
// that is Linux's. Elsewhere the package compiles and says so.
//
// It imports codec for everything but the bodies of PUBLISH packets, which it
// writes and reads by itself to stay cheap, and router to know who hears whom. Only gannet
// bench scale, and a limit that a plan asks for, know more of the broker than its program.
//
// Its histograms are those of hdrhistogram-go with two figures, which is buckets of at
// most 1/128 of their values. Recording takes 6 ns for each message received, of the 120
// that sending and receiving one costs this loader with QoS 0; three figures would take
// 9, and 248 KiB instead of 34 KiB for each group of clients. --json has every bucket, so
// that those of several runs can be added up exactly.
package bench
