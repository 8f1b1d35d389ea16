package clock

import (
	"testing"
	"time"
)

func TestClockIsSoundIfAMajorityAgrees(t *testing.T) {
	for _, tc := range []struct {
		name            string
		voters          []string
		offsets         map[string]time.Duration // of the other nodes
		sound, disputed bool
	}{
		{"alone", []string{"a"}, nil, true, false},
		{"voters not known yet", nil, nil, false, false},
		{"no readings", []string{"a", "b", "c"}, nil, false, false},
		{"one of two others agrees", []string{"a", "b", "c"}, map[string]time.Duration{"b": time.Second}, true, false},
		{"the only reading disagrees", []string{"a", "b", "c"}, map[string]time.Duration{"b": 3 * time.Second}, false, true},
		{"one agrees, one differs", []string{"a", "b", "c"}, map[string]time.Duration{"b": -time.Second, "c": time.Hour}, true, false},
		{"both differ", []string{"a", "b", "c"}, map[string]time.Duration{"b": time.Minute, "c": time.Minute}, false, true},
		{"two voters that differ", []string{"a", "b"}, map[string]time.Duration{"b": -5 * time.Second}, false, true},
		{"readings of nonvoters do not count", []string{"b", "c"}, map[string]time.Duration{"b": 0, "x": 0}, false, false},
		{"a nonvoter follows two voters", []string{"b", "c"}, map[string]time.Duration{"b": 0, "c": 0}, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := New(time.Now, 2*time.Second, 10*time.Second)
			for id, offset := range tc.offsets {
				now := time.Now()
				c.Read(id, now.Add(offset), now, 0)
			}
			if tc.voters != nil {
				c.SetVoters(tc.voters, "a")
			}
			if j := c.Check(); j.Sound != tc.sound || j.Disputed != tc.disputed {
				t.Fatalf("check is %+v, want sound %v, disputed %v", j, tc.sound, tc.disputed)
			}
		})
	}
}

func TestStepOfTheOwnClockIsNoticedImmediately(t *testing.T) {
	step := time.Duration(0)
	c := New(func() time.Time { return time.Now().Add(step) }, 2*time.Second, 10*time.Second)
	c.SetVoters([]string{"a", "b", "c"}, "a")
	for _, id := range []string{"b", "c"} {
		c.Read(id, time.Now(), time.Now(), 0)
	}
	if !c.Sound() {
		t.Fatal("not sound before the step")
	}
	step = time.Hour
	if j := c.Check(); j.Sound || j.Offset < 59*time.Minute {
		t.Fatalf("after a step of one hour: %+v", j)
	}
	step = 0
	if !c.Sound() {
		t.Fatal("not sound after the step was reverted")
	}
}

func TestSlowAnswerIsIgnored(t *testing.T) {
	c := New(time.Now, 2*time.Second, 10*time.Second)
	c.SetVoters([]string{"a", "b"}, "a")
	c.Read("b", time.Now(), time.Now(), 1500*time.Millisecond)
	if c.Sound() {
		t.Fatal("a reading with an error of up to 750 ms was used")
	}
}
