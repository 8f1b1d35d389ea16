package admin

import (
	"context"
	"fmt"
	"strings"

	"keyfob/api"
	"keyfob/api/client"
	"keyfob/cmd/keyfob/cli"
)

// onToken calls an operation on the token that an argument names: by its
// serial, or by the name of a user who has one token. A serial comes first.
func onToken[T any](ctx context.Context, r *cli.Remote, name string, do func(serial string) (T, error)) (T, error) {
	answer, err := do(name)
	if !client.IsProblem(err, "not_found") {
		return answer, err
	}
	u, userErr := r.ShowUser(ctx, name)
	switch {
	case client.IsProblem(userErr, "not_found"):
		return answer, err
	case userErr != nil:
		return answer, userErr
	case len(u.Tokens) == 0:
		return answer, fmt.Errorf("user %s has no token; run keyfob token issue %s", u.User.User, u.User.User)
	case len(u.Tokens) > 1:
		return answer, fmt.Errorf("user %s has %d tokens: name one of %s", u.User.User, len(u.Tokens), strings.Join(u.Tokens, ", "))
	}
	return do(u.Tokens[0])
}

// findToken returns the token that an argument names, as onToken does.
func findToken(ctx context.Context, r *cli.Remote, name string) (api.Token, error) {
	return onToken(ctx, r, name, func(serial string) (api.Token, error) { return r.ShowToken(ctx, serial) })
}
