"""Every line that the doctor has, with its code; imports nothing but itself."""
