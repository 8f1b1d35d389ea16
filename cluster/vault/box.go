package vault

import (
	"crypto/hpke"
	"fmt"
	"strconv"
)

// A box is a new version of the root key on its way to one holder. It is sealed
// twice: for the holder's own key, which a removed node does not have, and inside
// that under the version before, which a stranger does not have. Without the second
// anybody could make a box, because the holder's key is public.

// nextPlace is the place of a version of the root key under the version before.
func nextPlace(version byte) Identity {
	return Identity{Table: "cluster", Record: "root key", Field: strconv.Itoa(int(version))}
}

// BoxForNode seals next, a root key of one version, for the node of that id.
func (v *Vault) BoxForNode(p NodePublic, nodeID string, next Root) ([]byte, error) {
	return v.box(p.key, boxPlace(v.cluster, "node", nodeID, next.Primary()), next)
}

// OpenNodeBox opens the result of BoxForNode. The vault must have the version
// before.
func (v *Vault) OpenNodeBox(box []byte, k NodeKey, nodeID string, version byte) (Root, error) {
	return v.unbox(box, k.key, boxPlace(v.cluster, "node", nodeID, version), version)
}

// BoxForRecovery seals next, a root key of one version, for the holder of a recovery
// key.
func (v *Vault) BoxForRecovery(p RecoveryPublic, next Root) ([]byte, error) {
	return v.box(p.key, boxPlace(v.cluster, "recovery", "", next.Primary()), next)
}

// OpenRecoveryBox opens the result of BoxForRecovery. The vault must have the version
// before.
func (v *Vault) OpenRecoveryBox(box []byte, k RecoveryKey, version byte) (Root, error) {
	return v.unbox(box, k.key, boxPlace(v.cluster, "recovery", "", version), version)
}

func (v *Vault) box(p hpke.PublicKey, place []byte, next Root) ([]byte, error) {
	plaintext := next.encode()
	defer clear(plaintext)
	inner := v.Seal(Roots, nextPlace(next.Primary()), plaintext)
	sealed, err := hpke.Seal(p, hpke.HKDFSHA256(), hpke.AES256GCM(), place, inner)
	if err != nil {
		return nil, fmt.Errorf("sealing version %d of the root key: %w", next.Primary(), err)
	}
	return sealed, nil
}

func (v *Vault) unbox(box []byte, k hpke.PrivateKey, place []byte, version byte) (Root, error) {
	inner, err := hpke.Open(k, hpke.HKDFSHA256(), hpke.AES256GCM(), place, box)
	if err != nil {
		return Root{}, fmt.Errorf("opening version %d of the root key: %w", version, ErrDamaged)
	}
	plaintext, err := v.Open(Roots, nextPlace(version), inner)
	if err != nil {
		return Root{}, fmt.Errorf("opening version %d of the root key: %w", version, err)
	}
	defer clear(plaintext)
	root, err := decodeRoot(plaintext)
	if err != nil || root.Primary() != version || len(root.ring.keys) != 1 {
		return Root{}, fmt.Errorf("opening version %d of the root key: %w", version, ErrDamaged)
	}
	return root, nil
}

func boxPlace(clusterID, kind, holder string, version byte) []byte {
	return encode(nil, "keyfob root box", clusterID, kind, holder, strconv.Itoa(int(version)))
}

// Derive is Vault.Derive for a root key that no vault has yet.
func (r Root) Derive(clusterID string, p Purpose, label string) [32]byte {
	keys := purposeKeys(r.ring.keys[r.ring.primary], clusterID, r.ring.primary)
	return derive(keys[p][:], "keyfob derived", label)
}
