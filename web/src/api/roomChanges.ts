/** What the page changes about rooms, members and one's own place among them. */
import { Refused } from "./accounts";
import { graphql } from "./graphql";

export const CreateRoom = graphql(
  `
    mutation CreateRoom($input: CreateRoomInput!) {
      createRoom(input: $input) {
        errors {
          ...Refused
        }
        room {
          id
        }
      }
    }
  `,
  [Refused],
);

export const UpdateRoom = graphql(
  `
    mutation UpdateRoom($input: UpdateRoomInput!) {
      updateRoom(input: $input) {
        errors {
          ...Refused
        }
        room {
          id
        }
      }
    }
  `,
  [Refused],
);

export const OpenDirect = graphql(
  `
    mutation OpenDirect($input: OpenDirectMessageInput!) {
      openDirectMessage(input: $input) {
        errors {
          ...Refused
        }
        room {
          id
        }
      }
    }
  `,
  [Refused],
);

export const Join = graphql(
  `
    mutation Join($input: JoinRoomInput!) {
      joinRoom(input: $input) {
        errors {
          ...Refused
        }
        room {
          id
        }
      }
    }
  `,
  [Refused],
);

export const Leave = graphql(
  `
    mutation Leave($input: RoomIdInput!) {
      leaveRoom(input: $input) {
        errors {
          ...Refused
        }
      }
    }
  `,
  [Refused],
);

export const Archive = graphql(
  `
    mutation Archive($input: RoomIdInput!) {
      archiveRoom(input: $input) {
        errors {
          ...Refused
        }
      }
    }
  `,
  [Refused],
);

export const Unarchive = graphql(
  `
    mutation Unarchive($input: RoomIdInput!) {
      unarchiveRoom(input: $input) {
        errors {
          ...Refused
        }
      }
    }
  `,
  [Refused],
);

export const AddMembers = graphql(
  `
    mutation AddMembers($input: AddMembersInput!) {
      addMembers(input: $input) {
        errors {
          ...Refused
        }
      }
    }
  `,
  [Refused],
);

export const RemoveMember = graphql(
  `
    mutation RemoveMember($input: RemoveMemberInput!) {
      removeMember(input: $input) {
        errors {
          ...Refused
        }
      }
    }
  `,
  [Refused],
);

export const SetRole = graphql(
  `
    mutation SetRole($input: SetMemberRoleInput!) {
      setMemberRole(input: $input) {
        errors {
          ...Refused
        }
      }
    }
  `,
  [Refused],
);

export const MuteMember = graphql(
  `
    mutation MuteMember($input: MuteMemberInput!) {
      muteMember(input: $input) {
        errors {
          ...Refused
        }
      }
    }
  `,
  [Refused],
);

export const Invite = graphql(
  `
    mutation Invite($input: CreateInviteInput!) {
      createInvite(input: $input) {
        errors {
          ...Refused
        }
        url
        code
      }
    }
  `,
  [Refused],
);

export const Prefer = graphql(
  `
    mutation Prefer($input: SetRoomPreferencesInput!) {
      setRoomPreferences(input: $input) {
        errors {
          ...Refused
        }
      }
    }
  `,
  [Refused],
);
