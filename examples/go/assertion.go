package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// caller is who comes, as a verified assertion says.
type caller struct {
	Issuer   string   `json:"iss"`
	Audience string   `json:"aud"`
	Subject  string   `json:"sub"`
	Email    string   `json:"email"`
	Roles    []string `json:"roles"`
	IssuedAt int64    `json:"iat"`
	Expires  int64    `json:"exp"`
}

const (
	// The keys are fetched again when they are this old,
	keysTTL = 5 * time.Minute
	// and for an unknown kid, but not more often than this: anybody can make up a kid.
	keysCooldown = 10 * time.Second
	maxAssertion = 16 << 10
)

var errNoKeys = errors.New("the key set cannot be fetched")

// keySet has the keys of Edgeward. Only ES256 is accepted, whatever a token says of itself.
type keySet struct {
	mutex   sync.Mutex
	byKid   map[string]*ecdsa.PublicKey
	fetched time.Time // when they came
	asked   time.Time // when they were last asked for
}

var keys keySet

// verify answers the claims of an assertion, or an error unless it is good.
func (k *keySet) verify(ctx context.Context, assertion string, now time.Time) (*caller, error) {
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 || len(assertion) > maxAssertion {
		return nil, errors.New("no assertion")
	}
	var header struct {
		Alg  string `json:"alg"`
		Typ  string `json:"typ"`
		Kid  string `json:"kid"`
		Crit any    `json:"crit"`
	}
	if err := decode(parts[0], &header); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if header.Alg != "ES256" || header.Typ != "assertion+jwt" || header.Crit != nil {
		return nil, errors.New("of another kind")
	}
	key, err := k.find(ctx, header.Kid, now)
	if err != nil {
		return nil, err
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil || len(signature) != 64 { // RFC 7518 §3.4: both numbers, 32 bytes each
		return nil, errors.New("malformed signature")
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if !ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		return nil, errors.New("bad signature")
	}
	var claims caller
	if err := decode(parts[1], &claims); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	switch {
	case claims.Issuer != issuer:
		return nil, errors.New("by another issuer")
	case claims.Audience != audience:
		return nil, errors.New("for another audience")
	case claims.Expires <= now.Unix():
		return nil, errors.New("expired")
	case claims.IssuedAt <= 0 || claims.Subject == "":
		return nil, errors.New("a claim is missing")
	}
	return &claims, nil
}

// find answers the key of a kid. While one request fetches, the others wait.
func (k *keySet) find(ctx context.Context, kid string, now time.Time) (*ecdsa.PublicKey, error) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	key := k.byKid[kid]
	isOld := now.Sub(k.fetched) > keysTTL
	if (key == nil || isOld) && now.Sub(k.asked) > keysCooldown {
		k.asked = now
		byKid, err := fetchKeys(context.WithoutCancel(ctx))
		if err == nil {
			k.byKid, k.fetched = byKid, now
		} else if isOld {
			return nil, fmt.Errorf("%w: %w", errNoKeys, err)
		}
		key = k.byKid[kid]
	} else if isOld {
		return nil, errNoKeys
	}
	if key == nil {
		return nil, errors.New("unknown kid")
	}
	return key, nil
}

func fetchKeys(ctx context.Context) (map[string]*ecdsa.PublicKey, error) {
	address := edgeward.ResolveReference(&url.URL{Path: "/.well-known/jwks.json"}).String()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", response.StatusCode)
	}
	var set struct {
		Keys []struct{ Kty, Crv, Kid, X, Y string }
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<16)).Decode(&set); err != nil {
		return nil, err
	}
	byKid := map[string]*ecdsa.PublicKey{}
	for _, jwk := range set.Keys {
		if jwk.Kty != "EC" || jwk.Crv != "P-256" || jwk.Kid == "" {
			continue
		}
		x, errX := base64.RawURLEncoding.DecodeString(jwk.X)
		y, errY := base64.RawURLEncoding.DecodeString(jwk.Y)
		// An uncompressed point; a point that is not on the curve is an error.
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
		if err := errors.Join(errX, errY, err); err != nil {
			return nil, err
		}
		byKid[jwk.Kid] = key
	}
	return byKid, nil
}

func decode(part string, into any) error {
	text, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}
