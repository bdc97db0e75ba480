"""Words to phonemes, language by language, as published models were trained."""
