package diagnosis

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyfob/engine"
	"keyfob/events"
)

const day = 24 * time.Hour

var obstacles = []struct {
	name  string
	given func(*given)
	then  []Finding
	help  Advice
}{
	{name: "nothing"},
	{
		name:  "a disabled user",
		given: func(g *given) { g.user.Disabled = true },
		then:  []Finding{{UserDisabled{"bob"}, true}},
		help:  Advice{Admin: []AdminStep{EnableUser{"bob"}}},
	},
	{
		name:  "a lock that ends",
		given: func(g *given) { g.user.Trusted.Until = at(time.Hour) },
		then:  []Finding{{UserLocked{"bob", engine.OfTrusted, at(time.Hour)}, true}},
		help:  Advice{User: []UserStep{WaitUntil{at(time.Hour)}}, Admin: []AdminStep{UnlockUser{"bob"}}},
	},
	{
		name:  "a lock without end",
		given: func(g *given) { g.user.Strangers.Stopped = true },
		then:  []Finding{{UserLocked{User: "bob", Budget: engine.OfStrangers}, true}},
		help:  Advice{Admin: []AdminStep{UnlockUser{"bob"}}},
	},
	{
		name:  "a delay",
		given: func(g *given) { g.user.Strangers = engine.Lock{Failures: 4, Wait: at(time.Second)} },
		then:  []Finding{{UserMustWait{engine.OfStrangers, at(time.Second), 4}, false}},
		help:  Advice{User: []UserStep{WaitUntil{at(time.Second)}}},
	},
	{
		name:  "no token",
		given: func(g *given) { g.user.Tokens = nil },
		then:  []Finding{{NoToken{"bob"}, true}},
		help:  Advice{Admin: []AdminStep{IssueToken{"bob"}, AssignToken{"bob"}}},
	},
	{
		name:  "the limit of sent tokencodes",
		given: send(6),
		then:  []Finding{{SendLimit{6, at(30 * time.Minute)}, false}},
		help:  Advice{User: []UserStep{WaitUntil{at(30 * time.Minute)}, UseLastTokencode{}}},
	},
	{
		name:  "a disabled token, which hides what else there is",
		given: func(g *given) { g.token.Disabled, g.token.NextTokencode = true, true },
		then:  []Finding{{TokenDisabled{"b1"}, true}},
		help:  Advice{Admin: []AdminStep{EnableToken{"b1"}}},
	},
	{
		name:  "a disabled token beside another one",
		given: func(g *given) { g.token.Disabled, g.user.Tokens = true, []string{"b1", "b2"} },
		then:  []Finding{{TokenDisabled{"b1"}, false}},
		help:  Advice{Admin: []AdminStep{EnableToken{"b1"}}},
	},
	{
		name:  "an expired token",
		given: func(g *given) { g.token.Expires = at(-time.Hour) },
		then:  []Finding{{TokenExpired{"b1", at(-time.Hour)}, true}},
		help:  Advice{Admin: []AdminStep{ReplaceToken{"b1"}}},
	},
	{
		name:  "a token that is not yet valid",
		given: func(g *given) { g.token.Born = at(time.Hour) },
		then:  []Finding{{TokenNotYetValid{"b1", "bob", at(time.Hour)}, true}},
		help:  Advice{User: []UserStep{WaitUntil{at(time.Hour)}}, Admin: []AdminStep{IssueToken{"bob"}}},
	},
	{
		name: "a lost token",
		given: func(g *given) {
			g.token.Lost = &engine.Lost{Since: at(-day), Until: at(day), Found: engine.FoundAllow, Sealed: []byte("sealed"), Given: 10, Used: []uint8{3, 7}}
		},
		then: []Finding{{TokenLost{"b1", Emergency{
			Since: at(-day), Until: at(day), Given: 10, Used: 2, Left: 8, Counted: true, Found: engine.FoundAllow, OwnAccepted: true,
		}}, false}},
		help: Advice{User: []UserStep{EnterPasscode{"b1", PINThenEmergencyTokencode}}, Admin: []AdminStep{FindToken{"b1"}}},
	},
	{
		name:  "a lost token whose own tokencodes are accepted again",
		given: func(g *given) { g.token.Lost = &engine.Lost{Until: at(-day), Found: engine.FoundAfter} },
	},
	{
		name:  "no PIN where a login sets one",
		given: func(g *given) { g.token.PIN = nil },
		then:  []Finding{{PINNotSet{"b1"}, false}},
		help:  Advice{User: []UserStep{SetPIN{Serial: "b1", First: true}}},
	},
	{
		name: "no PIN where an activation code comes first",
		given: func(g *given) {
			g.token.PIN, g.token.NextTokencode, g.policy.FirstPIN = nil, true, engine.FirstPINByActivationCode
		},
		then: []Finding{{TemporaryPINRequired{"b1", false}, false}, {NextTokencodeRequired{"b1"}, false}},
		help: Advice{Admin: []AdminStep{SetTemporaryPIN{"b1"}}},
	},
	{
		name:  "Next Tokencode mode comes before New PIN mode",
		given: func(g *given) { g.token.PIN, g.token.NextTokencode = nil, true },
		then:  []Finding{{NextTokencodeRequired{"b1"}, false}, {PINNotSet{"b1"}, false}},
		help:  Advice{User: []UserStep{EnterNextTokencode{}}},
	},
	{
		name:  "a PIN that must be changed",
		given: func(g *given) { g.token.NewPIN = true },
		then:  []Finding{{PINChangeRequired{"b1"}, false}},
		help:  Advice{User: []UserStep{SetPIN{Serial: "b1"}}},
	},
	{
		name:  "an expired PIN",
		given: func(g *given) { g.policy.PINLifetime = 29 * day },
		then:  []Finding{{PINExpired{"b1", at(-day)}, false}},
		help:  Advice{User: []UserStep{SetPIN{Serial: "b1"}}},
	},
	{
		name:  "a PIN that was set under less strict rules",
		given: func(g *given) { g.policy.PINMin = 7 },
		then:  []Finding{{PINMayBeUnfit{"b1"}, false}},
		help:  Advice{User: []UserStep{SetPIN{Serial: "b1"}}},
	},
	{
		name:  "a tokencode of the future that was used",
		given: func(g *given) { g.token.Last = noon.Unix()/60 + 150 },
		then:  []Finding{{UsedAhead{"b1", at(150 * time.Minute), at(151 * time.Minute)}, false}},
		help:  Advice{User: []UserStep{WaitUntil{at(151 * time.Minute)}}, Admin: []AdminStep{LoseToken{"b1"}}},
	},
	{
		name: "a tokencode that was not sent",
		given: func(g *given) {
			g.token.Kind, g.token.Period, g.token.NotSent = engine.KindOnDemand, 0, at(-time.Minute)
		},
		then: []Finding{{TokencodeNotSent{"b1", at(-time.Minute)}, false}},
		help: Advice{User: []UserStep{RequestTokencode{}}, Admin: []AdminStep{CheckDelivery{}}},
	},
}

func TestObstaclesAreFound(t *testing.T) {
	for _, tt := range obstacles {
		s := state(t, tt.given)
		d := Of(s, s.User("bob"), NewTrail("bob", 1), events.At(noon))
		if diff := cmp.Diff(tt.then, d.Findings); diff != "" {
			t.Errorf("%s: findings (-want +got):\n%s", tt.name, diff)
		}
		if diff := cmp.Diff(tt.help, d.Advice); diff != "" {
			t.Errorf("%s: advice (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestEveryObstacleHasARemedy notices a new obstacle without a case above.
func TestEveryObstacleHasARemedy(t *testing.T) {
	tested := map[string]bool{}
	for _, tt := range obstacles {
		for _, f := range tt.then {
			if a := Remedy(f.Obstacle); len(a.User)+len(a.Admin) > 0 {
				tested[strings.TrimPrefix(fmt.Sprintf("%T", f.Obstacle), "diagnosis.")] = true
			}
		}
	}
	for _, name := range members(t, "obstacle.go", `func \((\w+)\) obstacle`) {
		if !tested[name] {
			t.Errorf("no case finds %s and what helps against it", name)
		}
	}
}
