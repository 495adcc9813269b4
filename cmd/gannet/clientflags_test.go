package main

import (
	"math"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/codec"
)

func TestMistakesInClientFlagsAreWordedAsMosquittoDoes(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"pub --foo", "Unknown option '--foo'."},
		{"sub -t a -m x", "Unknown option '-m'."},
		{"pub -t a -C 1", "Unknown option '-C'."},
		{"pub -t", "-t argument given but no topic specified."},
		{"sub -t a -I", "-I argument given but no id prefix specified."},
		{"pub -t a", "Both topic and message must be supplied."},
		{"pub -m a", "Both topic and message must be supplied."},
		{"pub -t a -m x -n", "Only one type of message can be sent at once."},
		{"sub", "You must specify a topic to subscribe to."},
		{"pub -t a/# -m x", "Invalid publish topic 'a/#', does it contain '+' or '#'?"},
		{"sub -t a#", "Invalid subscription topic 'a#', are all '+' and '#' wildcards correct?"},
		{"sub -t $share/g", "Invalid subscription topic '$share/g', are all '+' and '#' wildcards correct?"},
		{"sub -t a -T +b", "Invalid subscription topic '+b', are all '+' and '#' wildcards correct?"},
		{"pub -t a -m x -q 3", "Invalid QoS given: 3"},
		{"pub -t a -m x -p 99999", "Invalid port given: 99999"},
		{"pub -t a -m x -p 0", "Invalid port given: 0"},
		{"pub -t a -m x -k 4", "Invalid keepalive given, it must be between 5 and 65535 inclusive."},
		{"pub -t a -m x -V 7", "Invalid protocol version argument given."},
		{"pub -t a -m x -x abc", "session-expiry-interval not a number."},
		{"pub -t a -m x -x 4294967296", "session-expiry-interval out of range."},
		{"pub -t a -m x -c", "You must provide a client id if you are using the -c option."},
		{"pub -t a -m x -i a -I b", "-i and -I argument cannot be used together."},
		{"pub -t a -m x -P secret", "A password without a user name needs -V mqttv5."},
		{"pub -t a -m x --scram -u a -P b", "--scram needs -V mqttv5."},
		{"pub -t a -m x --scram -V 5", "--scram needs a user name and a password."},
		{"pub -t a -m x -V 311 -D publish content-type x", "-D needs -V mqttv5."},
		{"pub -t a -m x -D publish content-typ x", "Invalid property name given in --property argument."},
		{"pub -t a -m x -D connect content-type x", "content-type property not allowed for connect in --property argument."},
		{"pub -t a -m x -D ping content-type x", "Invalid command given in --property argument."},
		{"pub -t a -m x -D publish content-type", "--property argument given but not enough arguments specified."},
		{"pub -t a -m x -D", "--property argument given but not enough arguments specified."},
		{"pub -t a -m x -D publish user-property x", "--property argument given but not enough arguments specified."},
		{"pub -t a -m x -D publish topic-alias 0", "Property topic-alias has an invalid value: 0."},
		{"pub -t a -m x -D publish response-topic a/+", "Property response-topic has an invalid value: a/+."},
		{"pub -t a -m x -D publish content-type x -D publish content-type y", "Property content-type is given twice for publish."},
		{"pub -t a -m x --will-topic +", "Invalid will topic '+', does it contain '+' or '#'?"},
		{"pub -t a -m x --will-payload x", "Will payload given, but no will topic given."},
		{"pub -t a -m x --will-qos 1", "Will QoS given, but no will topic given."},
		{"pub -t a -m x --will-retain", "Will retain given, but no will topic given."},
		{"pub -t a -m x -D will content-type x", "Will properties given, but no will topic given."},
		{"pub -t a -m x --repeat 0", "--repeat argument must be >0."},
		{"pub -t a -m x --repeat-delay -1", "--repeat-delay argument must be >=0.0."},
		{"pub -t a -l --repeat 2", "--repeat cannot be used with -l."},
		{"pub -L http://h/t -m x", "unsupported URL scheme."},
		{"pub -L mqtt://h -m x", "Invalid URL for -L argument specified - topic missing."},
		{"sub -t a -C 0", `Invalid message count "0".`},
		{"sub -t a -W 0", `Invalid timeout "0".`},
		{"sub -t a -F %Z", "Invalid format specifier 'Z'."},
		{`sub -t a -F \q`, "Invalid format specifier 'q'."},
		{"sub -t a -F %", "Incomplete format specifier."},
	} {
		list := strings.Fields(test.args)
		want := "Error: " + test.want + "\n\nUse 'gannet " + list[0] + " --help' to see usage.\n"
		if got := run(t, "", list...); got != (result{1, "", want}) {
			t.Errorf("%s: got %+v, want %s", test.args, got, test.want)
		}
	}
}

func TestURLNamesUserServerAndTopic(t *testing.T) {
	for url, want := range map[string]struct{ address, user, password, topic string }{
		"mqtt://host/a/b":                 {"host:1883", "", "", "a/b"},
		"mqtt://u:p:q@host:1884/a":        {"host:1884", "u", "p:q", "a"},
		"mqtt://u@h@[::1]:1884/a":         {"[::1]:1884", "u@h", "", "a"},
		"mqtt://[fe80::1]/a":              {"[fe80::1]:1883", "", "", "a"},
		"mqtt://localhost:1/$share/g/t/+": {"localhost:1", "", "", "$share/g/t/+"},
	} {
		f, err := parseClientFlags(commandSub, []string{"-L", url})
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		o := f.options("id")
		if o.Address != want.address || o.UserName != want.user || string(o.Password) != want.password || f.topics[0] != want.topic {
			t.Errorf("%s: %s %s %s %v", url, o.Address, o.UserName, o.Password, f.topics)
		}
	}
}

func TestSessionExpiryFollowsFromFlags(t *testing.T) {
	for _, test := range []struct {
		flags string
		want  uint32
		given bool
	}{
		{"-V 5", 0, false},
		{"-V 5 -c -i a", math.MaxUint32, true},
		{"-V 5 -x 30", 30, true},
		{"-V 5 -x -1", math.MaxUint32, true},
		{"-V 5 -c -i a -x 5", 5, true},
		{"-c -i a -D connect session-expiry-interval 9", 9, true},
		{"-c -i a", 0, false}, // 3.1.1 has none
	} {
		f, err := parseClientFlags(commandSub, append([]string{"-t", "a"}, strings.Fields(test.flags)...))
		if err != nil {
			t.Errorf("%s: %v", test.flags, err)
			continue
		}
		p := f.options("id").Properties
		if p.Has(codec.PropSessionExpiryInterval) != test.given || p.SessionExpiryInterval != test.want {
			t.Errorf("%s: %v %d", test.flags, p.Has(codec.PropSessionExpiryInterval), p.SessionExpiryInterval)
		}
	}
}

func TestEveryPropertyOfTheTableCanBeSentWhereItIsAllowed(t *testing.T) {
	for _, row := range propertyTable() {
		for _, command := range row.commands {
			var f propertyFlags
			if err := f.parse(&argumentList{[]string{command, row.name, "1"}}); err != nil {
				t.Errorf("%s %s: %v", command, row.name, err)
				continue
			}
			if err := f.parse(&argumentList{[]string{command, "user-property", "k", "v"}}); err != nil {
				t.Errorf("%s user-property: %v", command, err)
			}
			packet := encode(command, f.packet(command))
			if frame, _, err := codec.Next(packet, 0); err != nil || frame.Size != len(packet) {
				t.Errorf("%s %s: %v", command, row.name, err)
			}
		}
	}
}

// encode makes the packet of a command with the properties p. The codec panics
// when one of them does not belong there.
func encode(command string, p *codec.Properties) []byte {
	switch command {
	case "connect":
		return (&codec.Connect{Version: codec.V5, Properties: *p}).Append(nil, codec.V5)
	case "will":
		return (&codec.Connect{Version: codec.V5, HasWill: true, WillTopic: []byte("w"), WillProperties: *p}).Append(nil, codec.V5)
	case "publish":
		return (&codec.Publish{Topic: []byte("t"), Properties: *p}).Append(nil, codec.V5)
	case "subscribe":
		return (&codec.Subscribe{PacketID: 1, Properties: *p, Filters: []codec.Subscription{{Filter: []byte("t")}}}).Append(nil, codec.V5)
	case "unsubscribe":
		return (&codec.Unsubscribe{PacketID: 1, Properties: *p, Filters: [][]byte{[]byte("t")}}).Append(nil, codec.V5)
	case "disconnect":
		return (&codec.Disconnect{Properties: *p}).Append(nil, codec.V5)
	default:
		panic("no packet for " + command)
	}
}

func TestHelpOfEachCommandListsItsFlags(t *testing.T) {
	for _, which := range []command{commandPub, commandSub} {
		got := run(t, "", which.String(), "--help")
		if got.status != 0 || got.stderr != "" {
			t.Fatalf("%s: %+v", which, got)
		}
		for _, f := range clientFlagTable() {
			name := f.short
			if name == "" {
				name = "    " + f.long
			}
			listed := strings.Contains(got.stdout, "\n  "+name)
			if listed != (findClientFlag(clientFlagTable(), which, strings.TrimSpace(name)) != nil) {
				t.Errorf("%s: %s%s listed: %v", which, f.short, f.long, listed)
			}
		}
	}
}

func TestUnreadableInputIsReported(t *testing.T) {
	missing := t.TempDir() + "/none"
	got := run(t, "", "pub", "-t", "t", "-f", missing)
	want := "Error: Unable to open file \"" + missing + "\".\nError loading input file \"" + missing + "\".\n"
	if got != (result{1, "", want}) {
		t.Errorf("-f: %+v", got)
	}
	if got = run(t, "", "pub", "-t", "t", "-s"); got != (result{1, "", "Error: Zero length input.\nError loading input from stdin.\n"}) {
		t.Errorf("-s: %+v", got)
	}
}
