package config

import (
	"errors"
	"fmt"
)

// Validate reports what no single setting can see: settings that contradict
// each other, or that would open the server to the network by accident. The
// error is one line that says how to mend it.
func (c *Config) Validate() error {
	if len(c.Listen) == 0 {
		return errors.New("listen: no listener: write --listen mqtt://127.0.0.1:1883")
	}
	for _, l := range c.Listen {
		if !c.Anonymous(l) && c.ScramUsers == "" {
			return c.lockedOut(l)
		}
	}
	return nil
}

// Anonymous reports whether listener l admits clients without authentication:
// what allow-anonymous says, and while that is unset only where nobody but this
// machine can connect and no users are configured.
func (c *Config) Anonymous(l Listener) bool {
	switch c.AllowAnonymous {
	case Yes:
		return true
	case No:
		return false
	case Unset:
		return c.ScramUsers == "" && l.Loopback()
	default:
		panic(fmt.Sprintf("config: allow-anonymous has no state %d", c.AllowAnonymous))
	}
}

// lockedOut explains why listener l could admit nobody.
func (c *Config) lockedOut(l Listener) error {
	if c.AllowAnonymous == No {
		return fmt.Errorf("listen: %s could admit nobody: allow-anonymous is false and there are no users: "+
			"name them with --scram-users FILE", l)
	}
	return fmt.Errorf("listen: %s can be reached from other machines and nobody would have to authenticate: "+
		"name users with --scram-users FILE, or write --allow-anonymous to let everybody in", l)
}
