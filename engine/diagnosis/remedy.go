package diagnosis

import (
	"keyfob/engine"
	"keyfob/engine/tokencode"
)

// Remedy returns what helps against an obstacle.
func Remedy(o Obstacle) Advice {
	switch o := o.(type) {
	case UserDisabled:
		return admin(EnableUser(o))
	case UserLocked:
		return o.remedy()
	case UserMustWait:
		return user(WaitUntil{o.Until})
	case NoToken:
		return admin(IssueToken(o), AssignToken(o))
	case SendLimit:
		return user(WaitUntil{o.Next}, UseLastTokencode{})
	case TokenDisabled:
		return admin(EnableToken(o))
	case TokenExpired:
		return admin(ReplaceToken{o.Serial})
	case TokenNotYetValid:
		return user(WaitUntil{o.From}).and(admin(IssueToken{o.User}))
	case TokenLost:
		return o.remedy()
	case TemporaryPINRequired:
		return admin(SetTemporaryPIN{o.Serial})
	case NextTokencodeRequired:
		return user(EnterNextTokencode{})
	case PINNotSet:
		return user(SetPIN{Serial: o.Serial, First: true})
	case PINChangeRequired:
		return user(SetPIN{Serial: o.Serial})
	case PINExpired:
		return user(SetPIN{Serial: o.Serial})
	case PINMayBeUnfit:
		return user(SetPIN{Serial: o.Serial})
	case UsedAhead:
		return user(WaitUntil{o.From}).and(admin(LoseToken{o.Serial}))
	case TokencodeNotSent:
		return user(RequestTokencode{}).and(admin(CheckDelivery{}))
	}
	return Advice{}
}

func user(steps ...UserStep) Advice   { return Advice{User: steps} }
func admin(steps ...AdminStep) Advice { return Advice{Admin: steps} }

func (a Advice) and(b Advice) Advice {
	return Advice{append(a.User, b.User...), append(a.Admin, b.Admin...)}
}

func (o UserLocked) remedy() Advice {
	unlock := admin(UnlockUser{o.User})
	if o.Until.IsZero() {
		return unlock
	}
	return user(WaitUntil{o.Until}).and(unlock)
}

func (o TokenLost) remedy() Advice {
	if o.Emergency.Counted && o.Emergency.Left == 0 {
		return admin(FindToken{o.Serial}, LoseToken{o.Serial})
	}
	return user(EnterPasscode{o.Serial, PINThenEmergencyTokencode}).and(admin(FindToken{o.Serial}))
}

// passcodeKind returns what the user of a token types.
func passcodeKind(s *engine.State, t *engine.Token) PasscodeKind {
	switch {
	case t.Kind == engine.KindOnDemand:
		return PINAlone
	case t.Lost != nil && t.Lost.Found == engine.FoundRefuse:
		return PINThenEmergencyTokencode
	case t.PINStyle == string(tokencode.NoPIN):
		return TokencodeAlone
	case s.Unclaimed(t):
		return ActivationCodeThenTokencode
	case len(t.PIN) == 0:
		return TokencodeAlone
	case t.PINStyle == string(tokencode.PINpad):
		return PINAddedToTokencode
	default:
		return PINThenTokencode
	}
}
