package password

import (
	"errors"
	"strings"
	"testing"
)

const otherHash = "$7$101$BGndiACUuVhHRClN$Kqeet24FMzN1une6fPYOmHge87nKZGo3i1N8O1q2xjW0GAvovxJiKjorN2bPQ3fUf6HisxhAnfDN+fJDx8WMCQ=="

func TestSetChangesOneLineAndLeavesTheRest(t *testing.T) {
	h := parsed(t, tutorialHash)
	for _, test := range []struct {
		name, before, after string
		found               bool
	}{
		{"empty", "", "a:NEW\n", false},
		{"another user", "# head\n\nb:OLD\r\n", "# head\n\nb:OLD\r\na:NEW\n", false},
		{"no line break at the end", "b:OLD", "b:OLD\na:NEW\n", false},
		{"in its place", "b:OLD\n a : OLD\r\n#a:OLD\nc:OLD", "b:OLD\na:NEW\n#a:OLD\nc:OLD", true},
		{"all but one", "a:OLD\nb:OLD\na:OLD\n", "a:NEW\nb:OLD\n", true},
		{"plain text", "a:secret\nb:secret\n", "a:NEW\nb:secret\n", true},
		{"byte order mark", "\ufeffa:OLD\n", "\ufeffa:NEW\n", true},
		{"longer names", "ab:OLD\n", "ab:OLD\na:NEW\n", false},
	} {
		expand := strings.NewReplacer("OLD", otherHash, "NEW", tutorialHash)
		got, found := Set([]byte(expand.Replace(test.before)), "a", &h)
		if string(got) != expand.Replace(test.after) || found != test.found {
			t.Errorf("%s: found %v\n%q", test.name, found, got)
		}
	}
}

func TestRemoveTakesEveryLineOfTheUser(t *testing.T) {
	before := "# a\na:" + otherHash + "\nb:" + otherHash + "\na:plain\nab:x"
	got, found := Remove([]byte(before), "a")
	if want := "# a\nb:" + otherHash + "\nab:x"; string(got) != want || !found {
		t.Errorf("found %v, %q", found, got)
	}
	for _, user := range []string{"nobody", "", "# a"} {
		if got, found := Remove([]byte(before), user); string(got) != before || found {
			t.Errorf("%q: found %v, %q", user, found, got)
		}
	}
}

func TestUpgradeHashesPlainTextAndNothingElse(t *testing.T) {
	before := "# users\nrajan:password123\n\nb:" + otherHash + "\r\n c : with: colon \r\nd:$ecret\nlast:x"
	asked := ""
	hash := func(password []byte) (Hash, error) {
		asked += "<" + string(password) + ">"
		return parsed(t, tutorialHash), nil
	}
	got, n, err := Upgrade([]byte(before), hash)
	want := "# users\nrajan:" + tutorialHash + "\n\nb:" + otherHash + "\r\nc:" + tutorialHash + "\nd:" + tutorialHash + "\nlast:" + tutorialHash + "\n"
	if string(got) != want || n != 4 || err != nil || asked != "<password123><with: colon><$ecret><x>" {
		t.Fatalf("%d, error %v, asked %s\n%q", n, err, asked, got)
	}
	again, n, err := Upgrade(got, hash)
	if string(again) != want || n != 0 || err != nil {
		t.Errorf("second time: %d, error %v\n%q", n, err, again)
	}
}

func TestUpgradeStopsAtWhatItDoesNotUnderstand(t *testing.T) {
	for _, test := range []struct{ name, line, want string }{
		{"no colon", "secret", "2: no colon after a user name"},
		{"no password", "a:", `2: user "a" has no password`},
		{"bcrypt", "a:$2y$10$secret", `2: user "a": hash of an unknown kind`},
		{"broken hash", "a:$7$x$secret$secret", `2: user "a": iterations`},
		{"not to be hashed", "a:secret", `2: user "a": no`},
	} {
		_, _, err := Upgrade([]byte("b:"+otherHash+"\n"+test.line+"\nc:\n"), func([]byte) (Hash, error) { return Hash{}, errors.New("no") })
		if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %v, want %s", test.name, err, test.want)
		}
	}
}

func TestEditsDoNotShareMemory(t *testing.T) {
	text := []byte("b:" + otherHash + "\n")
	h := parsed(t, tutorialHash)
	out, _ := Set(text, "a", &h)
	clear(text)
	if !strings.HasPrefix(string(out), "b:$7$") {
		t.Errorf("%q", out)
	}
}

func TestCheckUserNameRefusesWhatCannotLogIn(t *testing.T) {
	for _, user := range []string{"", "a:b", "#a", " a", "a ", "a\tb", "a\nb", "a\x00", "a\x7f", "\ufeffa", strings.Repeat("a", UserNameBytesMax+1)} {
		if CheckUserName(user) == nil {
			t.Errorf("%q accepted", user)
		}
	}
	for _, user := range []string{"a", "a b", "a#", "+/#", "dörte", "\u00a0", strings.Repeat("a", UserNameBytesMax)} {
		if err := CheckUserName(user); err != nil {
			t.Errorf("%q: %v", user, err)
		}
	}
}
