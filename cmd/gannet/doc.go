// Command gannet is an MQTT 3.1, 3.1.1 and 5.0 broker, and the two clients that
// one wants at hand beside a broker.
//
//	gannet [serve] [flags]   run the broker
//	gannet pub [flags]       publish messages
//	gannet sub [flags]       print the messages of subscriptions
//	gannet passwd FILE USER  set the password of a user in a password file
//	gannet convert FILE      turn a mosquitto.conf into Gannet's own format
//	gannet store SUBCOMMAND  look at the store, mend it, copy it
//	gannet bench SUBCOMMAND  measure brokers on the same loads
//	gannet completion SHELL  print what makes a shell complete these
//	gannet version           say which build this is
//	gannet help              list these
//
// The list is in commands.go, from which the overview, the dispatch and the completion follow.
//
// It holds what belongs to a process: arguments, environment, signals, standard
// streams, exit status. Settings are in internal/config, the protocol of the two
// clients in internal/client, the broker in engine. Pub and sub take the
// everyday flags of mosquitto_pub and mosquitto_sub under the same names and
// print what those print, so that scripts and habits carry over.
//
// Exit status: 0 for success, 1 for a failure, 2 for a broker that cannot start
// because of its configuration or its store. Passwd has those of mosquitto_passwd. Store has 1 for a damaged store and 2
// for all that kept it from telling. Pub and sub exit with the reason when the server refuses the
// connection, with 7 when it is lost, with 8 when TLS does not come about, and sub with 27 when -W runs out.
//
// How the server is put together: internal/config reads the settings; admission.go opens whoever is asked about clients
// (guard, judges, rules, certificates), at the start and again at each SIGHUP (reload.go), and access.go is one set of
// them; options.go has what is about neither; keeper.go opens the store; account.go gives up root in between.
package main
