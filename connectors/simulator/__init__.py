"""Both CRMs as local HTTP servers over a generated company or a real export."""
