/** Coming in, with an account or for a new one. */
import type { TargetedSubmitEvent } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Server, type Person, type SignupMode } from "../api/accounts";
import { ask } from "../api/refusal";
import { Invitation } from "../api/rooms";
import { guest, signIn, signUp } from "../api/session";
import { dismissInvitation, go, invitation, setupToken } from "../state/route";
import { useDeed } from "./useDeed";

interface Invited {
  roomId: string;
  roomName: string | null;
  inviter: Person | null;
}

export function SignIn() {
  const [code] = useState(invitation);
  const [setup] = useState(setupToken);
  const [mode, setMode] = useState<SignupMode | null>(null);
  const [invited, setInvited] = useState<Invited | null>(null);
  const [isNew, setNew] = useState(code !== null || setup !== null);
  const deed = useDeed();

  useEffect(() => {
    ask(guest, Server, {}).then(
      ({ serverInfo }) => setMode(serverInfo.signupMode),
      () => setMode("OPEN"), // whoever tries will be told
    );
    if (code)
      ask(guest, Invitation, { code }).then(
        ({ invite }) => setInvited(invite),
        () => undefined,
      );
  }, []);

  const submit = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget);
    const field = (name: string) => String(given.get(name) ?? "").trim();
    const [name, password] = [field("username"), String(given.get("password"))];
    deed.run(async () => {
      if (!isNew) return signIn(name, password);
      const admission = field("invite") || null;
      await signUp(name, password, { inviteCode: admission, setupToken: setup });
      if (setup) go(null); // the token has done its work
      if (invited && admission === code) {
        dismissInvitation(); // signing up with it was joining
        go(invited.roomId);
      }
    });
  };

  const isClosed = mode === "CLOSED";
  return (
    <section class="card sign-in" aria-labelledby="sign-in">
      <h2 id="sign-in">{isNew ? "Create an account" : "Sign in"}</h2>
      {invited && (
        <p class="invited">
          {invited.inviter?.displayName ?? "Somebody"} invites you to <strong>{invited.roomName}</strong>.
        </p>
      )}
      <form onSubmit={submit}>
        <label>
          {isNew ? "Username" : "Username or e-mail"}
          <input name="username" autocomplete="username" autocapitalize="none" spellcheck={false} required />
        </label>
        <label>
          Password
          <input
            name="password"
            type="password"
            autocomplete={isNew ? "new-password" : "current-password"}
            minLength={isNew ? 8 : undefined}
            required
          />
        </label>
        {isNew && (mode === "INVITE_ONLY" || code) && (
          <label>
            Invite code
            <input name="invite" defaultValue={code ?? ""} spellcheck={false} required={mode === "INVITE_ONLY"} />
          </label>
        )}
        <p class="failure" role="alert">
          {deed.failure}
        </p>
        <button class="primary" disabled={deed.isBusy}>
          {isNew ? "Create account" : "Sign in"}
        </button>
      </form>
      {isClosed ? (
        <p class="other-way">This server takes no new accounts.</p>
      ) : (
        <p class="other-way">
          {isNew ? "Already here before? " : "New here? "}
          <button type="button" class="link" onClick={() => setNew(!isNew)}>
            {isNew ? "Sign in instead" : "Create an account"}
          </button>
        </p>
      )}
    </section>
  );
}
