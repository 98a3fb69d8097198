// Package config reads the configuration of the App: a bot.yaml, variables of
// the environment, and the files with secrets that these name.
//
// Every key of bot.yaml is also a variable: CROMT_ and the key in capitals,
// with an underscore where the file has a level, as in CROMT_GITHUB_APP_ID. A
// variable that is set and not empty goes before the file. A key that ends in
// _file names a file with a secret; without _file it is a variable with the
// secret itself, which goes before the file, and is refused in bot.yaml. Files
// are relative to bot.yaml, those that variables name to the working directory.
// CROMT_HOSTS names a file with the hosts, as it does for cromt run.
package config
