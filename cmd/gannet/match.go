package main

import "strings"

// topicMatches reports whether a Topic Name matches a Topic Filter; both are
// valid. Wildcards in the first level do not match a topic that begins with $
// [MQTT-4.7.2-1].
func topicMatches(filter, topic string) bool {
	if strings.HasPrefix(topic, "$") && !strings.HasPrefix(filter, "$") {
		return false
	}
	for {
		wanted, restFilter, moreFilter := strings.Cut(filter, "/")
		level, restTopic, moreTopic := strings.Cut(topic, "/")
		switch {
		case wanted == "#":
			return true
		case wanted != "+" && wanted != level:
			return false
		case !moreTopic:
			return !moreFilter || restFilter == "#" // "a/#" matches "a" too
		case !moreFilter:
			return false
		}
		filter, topic = restFilter, restTopic
	}
}
