"""The people of the site: who they are, and how they sign up, log in and change their details."""
