from hypothesis import settings

# A busy machine makes an example slow now and then; that is no fault of what is tested.
settings.register_profile("unit", deadline=None, max_examples=50)
settings.load_profile("unit")
