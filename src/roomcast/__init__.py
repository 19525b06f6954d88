"""roomcast: a self-hosted real-time chat backend whose one public API is GraphQL."""
