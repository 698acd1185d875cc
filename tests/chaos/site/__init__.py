"""The site of a chaos run: people sign up and change, and each transaction writes its own history."""
