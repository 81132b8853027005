// An OpenID Connect provider with the default configuration of oidc-provider: it hands out claims at
// the userinfo endpoint, and the identity token has only the user's identifier.
// Arguments: the port, the client as JSON, and the claims of its users as JSON, by their names.
import { Provider } from "oidc-provider";

const [port, client, users] = process.argv.slice(2);
const claimsOf = JSON.parse(users);

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [JSON.parse(client)],
  claims: { openid: ["sub", "groups"], profile: ["name"], email: ["email", "email_verified"] },
  findAccount: (_, name) => ({ accountId: name, claims: () => ({ sub: name, ...claimsOf[name] }) }),
});
provider.listen(Number(port), "127.0.0.1");
