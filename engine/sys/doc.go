// Package sys publishes what the broker knows of itself below $SYS/broker/, under the names that Mosquitto has given
// these figures, so that existing dashboards go on working.
//
// It is a clock and a list: at each interval it takes a Snapshot, makes a topic and a payload of each figure, and publishes those
// that changed, retained. It knows neither broker nor reactor; whoever wires them hands in two functions. It imports the standard
// library and codec.
package sys
