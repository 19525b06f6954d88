/** The form for signing in or creating an account. */
import type { TargetedSubmitEvent } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ServerInfo, type SignupMode, type UserSummary } from "../api/accounts";
import { runQuery } from "../api/request";
import { InvitePreview } from "../api/rooms";
import { anonymousClient, signIn, signUp } from "../api/session";
import { navigate, readInviteCode, readSetupToken, removeInviteCode } from "../state/route";
import { ErrorText } from "./ErrorText";
import { useAction } from "./useAction";

interface Invite {
  roomId: string;
  roomName: string | null;
  inviter: UserSummary | null;
}

export function SignInForm() {
  const [inviteCode] = useState(readInviteCode);
  const [setupToken] = useState(readSetupToken);
  const [signupMode, setSignupMode] = useState<SignupMode | null>(null);
  const [invite, setInvite] = useState<Invite | null>(null);
  const [isSignup, setSignup] = useState(inviteCode !== null || setupToken !== null);
  const action = useAction();

  useEffect(() => {
    runQuery(anonymousClient, ServerInfo, {}).then(
      ({ serverInfo }) => setSignupMode(serverInfo.signupMode),
      () => setSignupMode("OPEN"), // signing up shows an error if it is closed
    );
    if (inviteCode)
      runQuery(anonymousClient, InvitePreview, { code: inviteCode }).then(
        ({ invite }) => setInvite(invite),
        () => undefined,
      );
  }, []);

  const submit = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const field = (name: string) => String(form.get(name) ?? "").trim();
    const [name, password] = [field("username"), String(form.get("password"))];
    action.run(async () => {
      if (!isSignup) return signIn(name, password);
      const enteredCode = field("invite") || null;
      await signUp(name, password, { inviteCode: enteredCode, setupToken });
      if (setupToken) navigate(null); // removes the used token from the address
      if (invite && enteredCode === inviteCode) {
        removeInviteCode(); // the server has added the new account to the room
        navigate(invite.roomId);
      }
    });
  };

  const isClosed = signupMode === "CLOSED";
  return (
    <section class="card sign-in" aria-labelledby="sign-in">
      <h2 id="sign-in">{isSignup ? "Create an account" : "Sign in"}</h2>
      {invite && (
        <p class="invited">
          {invite.inviter?.displayName ?? "Someone"} invites you to <strong>{invite.roomName}</strong>.
        </p>
      )}
      <form onSubmit={submit}>
        <label>
          {isSignup ? "Username" : "Username or e-mail"}
          <input name="username" autocomplete="username" autocapitalize="none" spellcheck={false} required />
        </label>
        <label>
          Password
          <input
            name="password"
            type="password"
            autocomplete={isSignup ? "new-password" : "current-password"}
            minLength={isSignup ? 8 : undefined}
            required
          />
        </label>
        {isSignup && (signupMode === "INVITE_ONLY" || inviteCode) && (
          <label>
            Invite code
            <input
              name="invite"
              defaultValue={inviteCode ?? ""}
              spellcheck={false}
              required={signupMode === "INVITE_ONLY"}
            />
          </label>
        )}
        <ErrorText text={action.error} />
        <button class="primary" disabled={action.isBusy}>
          {isSignup ? "Create account" : "Sign in"}
        </button>
      </form>
      {isClosed ? (
        <p class="alternative">This server does not accept new accounts.</p>
      ) : (
        <p class="alternative">
          {isSignup ? "Already have an account? " : "New here? "}
          <button type="button" class="link" onClick={() => setSignup(!isSignup)}>
            {isSignup ? "Sign in instead" : "Create an account"}
          </button>
        </p>
      )}
    </section>
  );
}
