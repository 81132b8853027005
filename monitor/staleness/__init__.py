"""Who is silent, judged in time that was really listened to."""
