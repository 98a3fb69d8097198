package gitrepo

type Auth struct{ Prefix, Username, Token string }
